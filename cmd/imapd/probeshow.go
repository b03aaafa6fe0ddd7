package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/starling-mail/starling/probe"
)

// A roundPrinter prints what fails as it comes, and a line for each round.
type roundPrinter struct {
	w      io.Writer
	nodes  []probe.Node
	rounds bool // lines for rounds are wanted
	worst  []probe.Sample
}

// shortName is how long the names of nodes may be in a round's line; longer ones
// have numbers there.
const shortName = 4

func (p *roundPrinter) numbered() bool {
	return slices.ContainsFunc(p.nodes, func(n probe.Node) bool { return len(n.Name) > shortName })
}

// legend prints which node has which number, if they have.
func (p *roundPrinter) legend() {
	if !p.rounds || !p.numbered() {
		return
	}
	for i, n := range p.nodes {
		fmt.Fprintf(p.w, "%d = %s\n", i+1, n.Name)
	}
}

// add takes the next sample of a round.
func (p *roundPrinter) add(s probe.Sample) {
	if s.Outcome != probe.Told {
		how := fmt.Sprint("late: ", short(s.Latency))
		if s.Outcome == probe.Missing {
			how = fmt.Sprint("not told in ", s.Latency)
		}
		fmt.Fprintf(p.w, "%s  %s -> %s: %s %s\n", s.At.Format(time.TimeOnly), s.From, s.To, s.Kind, how)
	}
	i := slices.IndexFunc(p.worst, func(o probe.Sample) bool { return o.From == s.From && o.To == s.To })
	if i < 0 {
		p.worst = append(p.worst, s)
	} else if s.Latency > p.worst[i].Latency {
		p.worst[i] = s
	}
}

// round prints the round that has ended.
func (p *roundPrinter) round() {
	if p.rounds {
		var b strings.Builder
		b.WriteString(time.Now().Format(time.TimeOnly))
		for _, s := range p.worst {
			text := short(s.Latency).String()
			if s.Outcome == probe.Missing {
				text = "missing"
			}
			fmt.Fprintf(&b, "  %s %-8s", p.pair(s), text)
		}
		fmt.Fprintln(p.w, strings.TrimRight(b.String(), " "))
	}
	p.worst = p.worst[:0]
}

// pair names the direction of a sample.
func (p *roundPrinter) pair(s probe.Sample) string {
	if !p.numbered() {
		return s.From + ">" + s.To
	}
	number := func(name string) int {
		return 1 + slices.IndexFunc(p.nodes, func(n probe.Node) bool { return n.Name == name })
	}
	return fmt.Sprintf("%d>%d", number(s.From), number(s.To))
}

// showFigures prints a table.
func showFigures(out io.Writer, figures []probe.Figures) error {
	if len(figures) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FROM\tTO\tCHANGE\tTOLD\tLATE\tMISSING\tMIN\tP50\tP99\tMAX")
	for _, f := range figures {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%v\t%v\t%v\t%v\n", f.From, f.To, f.Kind, f.Told, f.Late, f.Missing,
			short(f.Min), short(f.P50), short(f.P99), short(f.Max))
	}
	return w.Flush()
}

// short rounds a latency to what matters.
func short(d time.Duration) time.Duration {
	if d < 100*time.Millisecond {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(time.Millisecond)
}
