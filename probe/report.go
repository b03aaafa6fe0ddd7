package probe

import (
	"encoding/json"
	"math"
	"slices"
	"time"
)

// A Kind is a kind of change.
type Kind int

const (
	Append  Kind = iota // a new message; told by EXISTS
	Flag                // \Flagged is set; told by FETCH
	Expunge             // the message is expunged; told by EXPUNGE
)

var kindNames = [...]string{Append: "append", Flag: "flag", Expunge: "expunge"}

// String returns "append", "flag" or "expunge".
func (k Kind) String() string { return kindNames[k] }

// MarshalText implements encoding.TextMarshaler.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// An Outcome says what became of one change.
type Outcome int

const (
	Told    Outcome = iota // in time
	Late                   // told, but later than Options.MaxLatency
	Missing                // not told within Options.Wait
)

// A Sample is one change on one node, as another one told of it.
type Sample struct {
	From, To string // names of nodes
	Kind     Kind
	Outcome  Outcome
	// Latency is the time from sending the command to the node From until the node To told
	// of its effect; or, for Missing, how long that was waited for.
	Latency time.Duration
	At      time.Time // when the command was sent
}

// Figures are what one kind of change took from one node to another.
type Figures struct {
	From, To            string
	Kind                Kind
	Told, Late, Missing int           // how many; Late ones are not in Told
	Min, P50, P99, Max  time.Duration // of those that were told, Late ones too; percentiles of the latest 10,000
}

// MarshalJSON implements json.Marshaler; times are in milliseconds.
func (f Figures) MarshalJSON() ([]byte, error) {
	ms := func(d time.Duration) float64 { return math.Round(d.Seconds()*1e6) / 1e3 }
	return json.Marshal(struct {
		From    string  `json:"from"`
		To      string  `json:"to"`
		Kind    Kind    `json:"kind"`
		Told    int     `json:"told"`
		Late    int     `json:"late"`
		Missing int     `json:"missing"`
		Min     float64 `json:"min_ms"`
		P50     float64 `json:"p50_ms"`
		P99     float64 `json:"p99_ms"`
		Max     float64 `json:"max_ms"`
	}{f.From, f.To, f.Kind, f.Told, f.Late, f.Missing, ms(f.Min), ms(f.P50), ms(f.P99), ms(f.Max)})
}

// A Report is what a probe has found: figures by pair of nodes, in the order in which
// they were first measured, each pair's kinds together.
type Report struct {
	Rounds  int       `json:"rounds"` // that were completed
	Figures []Figures `json:"figures"`
}

// InTime reports whether everything was told, and in time.
func (r Report) InTime() bool {
	return !slices.ContainsFunc(r.Figures, func(f Figures) bool { return f.Late+f.Missing > 0 })
}

// keep is how many latencies are remembered for percentiles.
const keep = 10_000

// A series collects the samples of one pair and kind.
type series struct {
	Figures
	latest []time.Duration // a ring once it has keep elements
	next   int
}

func (s *series) add(x Sample) {
	switch x.Outcome {
	case Missing:
		s.Missing++
		return
	case Late:
		s.Late++
	case Told:
		s.Told++
	}
	if s.Told+s.Late == 1 || x.Latency < s.Min {
		s.Min = x.Latency
	}
	s.Max = max(s.Max, x.Latency)
	if len(s.latest) < keep {
		s.latest = append(s.latest, x.Latency)
		return
	}
	s.latest[s.next] = x.Latency
	s.next = (s.next + 1) % keep
}

// figures returns the figures with their percentiles (nearest rank).
func (s *series) figures() Figures {
	f := s.Figures
	if sorted := slices.Sorted(slices.Values(s.latest)); len(sorted) > 0 {
		f.P50, f.P99 = rank(sorted, 50), rank(sorted, 99)
	}
	return f
}

func rank(sorted []time.Duration, percent int) time.Duration {
	return sorted[(len(sorted)*percent+99)/100-1]
}

// A collection is the series of all pairs.
type collection struct{ list []*series }

func (c *collection) add(x Sample) {
	i := slices.IndexFunc(c.list, func(s *series) bool { return s.From == x.From && s.To == x.To && s.Kind == x.Kind })
	if i < 0 {
		i = len(c.list)
		c.list = append(c.list, &series{Figures: Figures{From: x.From, To: x.To, Kind: x.Kind}})
	}
	c.list[i].add(x)
}

func (c *collection) figures() []Figures {
	list := []Figures{} // not null in JSON
	for _, s := range c.list {
		list = append(list, s.figures())
	}
	return list
}
