package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/starling-mail/starling/admin"
)

func (a *app) clusterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Show the cluster, drain this node, exchange the cluster's keys",
		RunE:  needsSubcommand,
	}
	cmd.AddCommand(a.clusterMembers(), a.clusterStatus(), a.clusterDrain(), a.clusterLeave(), a.clusterKeys())
	return cmd
}

func (a *app) clusterMembers() *cobra.Command {
	return a.showsCluster(&cobra.Command{
		Use:   "members",
		Short: "Show who is in the cluster, and how this node reaches them",
		Long: `Show who is in the cluster as the node that runs here sees it: addresses, version,
whether it takes clients (serving) or not (draining), and for each other node the
streams that are open to it (out) and from it (in), the round trip, events, and how
often events from it were missing. An instance is one run of the program. The last
line says how often the store's feed was read, and how many events came from there
alone.`,
	}, showMembers)
}

func (a *app) clusterStatus() *cobra.Command {
	return a.showsCluster(&cobra.Command{
		Use:   "status",
		Short: "Show what goes to and comes from each other node",
		Long: `Show the lanes to and from each other node as the node that runs here sees them.

For each direction: whether the stream is open (and, to a node, how often it was
opened), events, and the number of the last event. To a node: the codec, the round
trip, events that wait, that there was no room for (dropped), and that nobody there
listens to (withheld). From a node: how often events were missing, frames that came
twice, and what could not be understood: events of kinds or with fields that are newer
than this version, and frames that cannot be read. Counts begin with the node's start.`,
	}, showStatus)
}

// showsCluster completes a command that shows a node's view of its cluster.
func (a *app) showsCluster(cmd *cobra.Command, show func(io.Writer, admin.Cluster) error) *cobra.Command {
	var asJSON bool
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.withControl(cmd.Context(), func(ctx context.Context, c admin.Control) error {
			status, err := c.Cluster(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.stdout, status)
			}
			return show(a.stdout, status)
		})
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print all that is known, as a JSON object")
	return cmd
}

func printJSON(w io.Writer, v any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(v)
}

func showMembers(out io.Writer, c admin.Cluster) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tGOSSIP\tSTREAM\tVERSION\tINSTANCE\tSTATE\tSTREAMS\tROUND TRIP\tSENT\tQUEUED\tDROPPED\tRECEIVED\tLOSSES")
	for _, m := range c.Members {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t", m.Name, m.Gossip, m.Stream, m.Version, m.Instance, stateOf(c, m))
		if m.Self {
			fmt.Fprintln(w, "this node")
			continue
		}
		fmt.Fprintf(w, "%s\t%v\t%d\t%d\t%d\t%d\t%d\n", streams(m), m.RoundTrip.Round(time.Microsecond), m.Sent, m.Queued, m.Dropped, m.Received, m.Losses)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	joined := ""
	if !c.Joined {
		joined = "not joined yet; "
	}
	_, err := fmt.Fprintf(out, "%s%d losses; %s\n", joined, c.Losses, feedLine(c))
	return err
}

func showStatus(out io.Writer, c admin.Cluster) error {
	for _, m := range c.Members {
		if m.Self {
			fmt.Fprintf(out, "node %s, version %s, instance %s: %s\n", m.Name, m.Version, m.Instance, stateOf(c, m))
		}
	}
	fmt.Fprintf(out, "%d losses, %d streams refused, %d conflicts of names, %d events too large, %d events wait for listeners here\n",
		c.Losses, c.Refused, c.Conflicts, c.Unsent, c.BusQueued)
	fmt.Fprintln(out, feedLine(c))
	fmt.Fprintf(out, "gossip: %d received, %d events before a stream, %d dropped, %d queued\n\n", c.Gossip.Received, c.Gossip.First, c.Gossip.Dropped, c.Gossip.Queued)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TO\tSTATE\tSTREAM\tOPENED\tCODEC\tROUND TRIP\tSENT\tLAST\tQUEUED\tDROPPED\tWITHHELD")
	for _, m := range c.Members {
		if !m.Self {
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%v\t%d\t%s\t%d\t%d\t%d\n", m.Name, stateOf(c, m), openOr(m.Sending), m.Connects, cmp.Or(m.Codec, "-"),
				m.RoundTrip.Round(time.Microsecond), m.Sent, before(m.NextSent), m.Queued, m.Dropped, m.Withheld)
		}
	}
	fmt.Fprintln(w, "\nFROM\tSTATE\tSTREAM\tRECEIVED\tLAST\tLOSSES\tREPEATED\tUNKNOWN\tTRAILING\tUNDECODABLE")
	for _, m := range c.Members {
		if !m.Self {
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%d\t%d\t%d\t%d\t%d\n", m.Name, stateOf(c, m), openOr(m.Receiving), m.Received,
				before(m.NextReceived), m.Losses, m.Repeated, m.Unknown, m.Trailing, m.Undecodable)
		}
	}
	return w.Flush()
}

func feedLine(c admin.Cluster) string {
	return fmt.Sprintf("the feed was read %d times, last %v ago: %d events came from there alone, %d reloads",
		c.Repairs, c.FeedAge.Round(time.Millisecond), c.Repaired, c.Reloads)
}

func stateOf(c admin.Cluster, m admin.Member) string {
	switch {
	case m.Self && !c.Joined:
		return "joining"
	case m.Draining:
		return "draining"
	}
	return "serving"
}

func openOr(open bool) string {
	if open {
		return "open"
	}
	return "closed"
}

// before is the number before the next one.
func before(next uint64) string {
	if next == 0 {
		return "-"
	}
	return fmt.Sprint(next - 1)
}

func streams(m admin.Member) string {
	switch {
	case m.Sending && m.Receiving:
		return "out+in"
	case m.Sending:
		return "out"
	case m.Receiving:
		return "in"
	}
	return "none"
}
