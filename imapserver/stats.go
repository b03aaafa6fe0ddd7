package imapserver

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/starling-mail/starling/latency"
)

// Stats are figures of a Server since it was made.
type Stats struct {
	// Connections now. Each is in one of the first four; one in IDLE is in Idle alone, whatever its state.
	NotAuthenticated, Authenticated, Selected, Idle int64
	// Arriving are connections that are accepted and in none of these yet: their PROXY header is waited for.
	Arriving int64
	// Working are those of the first four that are not parked: each has a goroutine and buffers.
	Working int64

	Accepted uint64 // connections served
	Refused  uint64 // connections sent away: over a limit, a bad PROXY header, or the Server is closing

	Received, Sent uint64 // bytes of the protocol, which TLS and COMPRESS are not counted with

	Commands []CommandStats // sorted by name
}

// CommandStats are figures of one command, by how it ended. A duration is from the command's name to its answer, before that is sent; what
// the client sends meanwhile (a literal) counts. IDLE ends here with its "+".
type CommandStats struct {
	Name        string // in capitals, such as "UID FETCH"; OtherCommand for what is none, or cannot be read
	OK, NO, BAD latency.Snapshot
	Cut         latency.Snapshot // the connection ended with it
}

// OtherCommand is the name that counts all commands that the Server does not know.
const OtherCommand = "other"

// counters are what Stats are made of.
type counters struct {
	standing          [standings]atomic.Int64
	working           atomic.Int64
	accepted, refused atomic.Uint64
	received, sent    atomic.Uint64
	commands          map[string]*commandCounter // never changed
	unknown           commandCounter
}

type commandCounter [outcomes]latency.Histogram

func newCounters() *counters {
	n := &counters{commands: make(map[string]*commandCounter, len(commands))}
	for name := range commands {
		n.commands[name] = new(commandCounter)
	}
	return n
}

// An outcome is how a command ended.
type outcome uint8

const (
	outcomeCut outcome = iota
	outcomeOK
	outcomeNO
	outcomeBAD
	outcomes
)

// ended counts a command.
func (n *counters) ended(name string, how outcome, took time.Duration) {
	c := n.commands[name]
	if c == nil {
		c = &n.unknown
	}
	c[how].Observe(took)
}

// A standing is where a connection is counted.
type standing uint8

const (
	nowhere standing = iota
	inNotAuthenticated
	inAuthenticated
	inSelected
	inIdle
	standings
)

// count counts the connection where it is now.
func (c *conn) count() {
	now := inSelected
	switch {
	case c.ended:
		now = nowhere
	case c.idle != "":
		now = inIdle
	case c.state == notAuthenticated:
		now = inNotAuthenticated
	case c.state == authenticated:
		now = inAuthenticated
	}
	if now == c.counted {
		return
	}
	n := &c.srv.counters.standing
	n[c.counted].Add(-1)
	n[now].Add(1)
	c.counted = now
}

// Stats returns the figures as they are now.
func (s *Server) Stats() Stats {
	n := s.counters
	out := Stats{
		NotAuthenticated: n.standing[inNotAuthenticated].Load(), Authenticated: n.standing[inAuthenticated].Load(),
		Selected: n.standing[inSelected].Load(), Idle: n.standing[inIdle].Load(), Working: n.working.Load(),
		Arriving: s.arriving.Load(),
		Accepted: n.accepted.Load(), Refused: n.refused.Load(),
		Received: n.received.Load(), Sent: n.sent.Load(),
	}
	of := func(name string, c *commandCounter) CommandStats {
		return CommandStats{name, c[outcomeOK].Snapshot(), c[outcomeNO].Snapshot(), c[outcomeBAD].Snapshot(), c[outcomeCut].Snapshot()}
	}
	for name, c := range n.commands {
		out.Commands = append(out.Commands, of(name, c))
	}
	out.Commands = append(out.Commands, of(OtherCommand, &n.unknown))
	slices.SortFunc(out.Commands, func(a, b CommandStats) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
