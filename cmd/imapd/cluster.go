package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/starling-mail/starling/admin"
	"github.com/starling-mail/starling/cluster"
)

func (a *app) clusterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Show the cluster, make its keys",
		RunE:  needsSubcommand,
	}
	keys := &cobra.Command{
		Use:   "keys",
		Short: "Make the cluster's keys",
		RunE:  needsSubcommand,
	}
	keys.AddCommand(a.clusterKeysNew())
	cmd.AddCommand(keys, a.clusterMembers())
	return cmd
}

func (a *app) clusterKeysNew() *cobra.Command {
	return &cobra.Command{
		Use:   "new",
		Short: "Print a new random key",
		Long: `Print a new random key, as a line of the file cluster.keys_file. All nodes of a
cluster need the same file. Whoever has a key may read and change what the
nodes tell each other.`,
		Example: `  (umask 077; imapd cluster keys new > /etc/imapd/cluster.keys)`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.stdout, cluster.NewKey())
			return err
		},
	}
}

func (a *app) clusterMembers() *cobra.Command {
	return &cobra.Command{
		Use:   "members",
		Short: "Show who is in the cluster, and how this node reaches them",
		Long: `Show who is in the cluster as the node that runs here sees it: addresses, version,
and for each other node the streams that are open to it (out) and from it (in), the
round trip, events, and how often events from it were missing. The last line says how
often the store's feed was read, and how many events came from there alone.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withControl(cmd.Context(), func(ctx context.Context, c admin.Control) error {
				status, err := c.Cluster(ctx)
				if err != nil {
					return err
				}
				return a.showCluster(status)
			})
		},
	}
}

func (a *app) showCluster(c admin.Cluster) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tGOSSIP\tSTREAM\tVERSION\tSTREAMS\tROUND TRIP\tSENT\tQUEUED\tDROPPED\tRECEIVED\tLOSSES")
	for _, m := range c.Members {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t", m.Name, m.Gossip, m.Stream, m.Version)
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
	_, err := fmt.Fprintf(a.stdout, "%s%d losses; the feed was read %d times, last %v ago: %d events came from there alone, %d reloads\n",
		joined, c.Losses, c.Repairs, c.FeedAge.Round(time.Millisecond), c.Repaired, c.Reloads)
	return err
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
