package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/starling-mail/starling/admin"
)

// drainText says what drain and leave have in common.
const drainText = `First /readyz answers 503 and the other nodes are told; after the delay, in which load
balancers must have seen that, IMAP's listeners are closed and LMTP answers 421; then
clients are told BYE, so many at a time, so that they do not come to the other nodes all
at once: those that wait first, the others when their command is answered. How fast is
in the configuration (server.drain_delay, drain_group, drain_every) or the flags.`

func (a *app) clusterDrain() *cobra.Command {
	var off bool
	var flags drainFlags
	cmd := &cobra.Command{
		Use:   "drain",
		Short: "Take the clients off this node, for it to be stopped",
		Long: `Take the clients off the node that runs here, for it to be stopped. ` + drainText + `

It ends when nobody is left; the node stays in the cluster, without clients, until it is
stopped or "drain --off" lets them in again. When the command is interrupted, clients
that are left stay, and nobody new comes in.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withControl(cmd.Context(), func(ctx context.Context, c admin.Control) error {
				if off {
					return c.Admit(ctx)
				}
				return a.drain(ctx, cmd, c, flags, c.Drain)
			})
		},
	}
	cmd.Flags().BoolVar(&off, "off", false, "take clients again; ends a drain that is under way")
	flags.add(cmd)
	return cmd
}

func (a *app) clusterLeave() *cobra.Command {
	var flags drainFlags
	cmd := &cobra.Command{
		Use:   "leave",
		Short: "Drain this node, then stop it",
		Long: `Drain the node that runs here, then stop it as SIGTERM does. ` + drainText + `

What restarts the process must not do so when it ends with code 0: Restart=on-failure in
a systemd unit.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withControl(cmd.Context(), func(ctx context.Context, c admin.Control) error {
				if err := a.drain(ctx, cmd, c, flags, c.Leave); err != nil {
					return err
				}
				_, err := fmt.Fprintln(a.stdout, "the node is stopping")
				return err
			})
		},
	}
	flags.add(cmd)
	return cmd
}

// drainFlags are what is given on the command line of what the configuration says.
type drainFlags struct{ given admin.Drain }

func (f *drainFlags) add(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&f.given.Delay, "delay", 0, "until connections are refused, instead of server.drain_delay")
	cmd.Flags().IntVar(&f.given.Group, "group", 0, "clients that are told BYE at once, instead of server.drain_group")
	cmd.Flags().DurationVar(&f.given.Every, "every", 0, "between groups, instead of server.drain_every")
}

// drain does it and prints progress.
func (a *app) drain(ctx context.Context, cmd *cobra.Command, c admin.Control, flags drainFlags, do func(context.Context, admin.Drain, func(admin.DrainStep)) error) error {
	how, err := c.DrainDefaults(ctx)
	if err != nil {
		return err
	}
	if cmd.Flags().Changed("delay") {
		how.Delay = flags.given.Delay
	}
	if cmd.Flags().Changed("group") {
		how.Group = flags.given.Group
	}
	if cmd.Flags().Changed("every") {
		how.Every = flags.given.Every
	}
	return do(ctx, how, func(s admin.DrainStep) {
		switch s.Phase {
		case admin.DrainDelay:
			fmt.Fprintf(a.stdout, "not ready any more; connections are refused in %v (%d clients)\n", how.Delay.Round(time.Millisecond), s.Left)
		case admin.DrainBye:
			fmt.Fprintf(a.stdout, "%d clients left\n", s.Left)
		case admin.Drained:
			fmt.Fprintln(a.stdout, "drained")
		}
	})
}
