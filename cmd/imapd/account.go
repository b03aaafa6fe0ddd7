package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/starling-mail/starling/admin"
	"github.com/starling-mail/starling/mailstore"
)

func (a *app) accountCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "account",
		Short: "Say on which shard accounts are, and move them",
		RunE:  needsSubcommand,
	}
	cmd.AddCommand(a.accountMove(), a.accountWhere())
	return cmd
}

func (a *app) accountMove() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "move NAME --to SHARD",
		Short: "Move a user's account to another shard",
		Long: `Move a user's account, with all its mail, to another of the databases of
[[store.shards]], while it is used. Clients do not notice: all numbers stay as they are. At the
end, when the copy is complete and verified, whoever writes to the account has to wait for a
moment (store.sharding.move_pause at most).

What is broken off can be begun again, and goes on where it was.`,
		Example: `  imapd account move alice@example.org --to b`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if to == "" {
				return &exitError{exitUsage, errors.New("give --to")}
			}
			return a.withControl(cmd.Context(), func(ctx context.Context, c admin.Control) error {
				bar := a.newProgress(0)
				defer bar.finish()
				var last mailstore.MoveReport
				if err := c.MoveAccount(ctx, args[0], to, func(m mailstore.MoveReport) {
					if last = m; m.Total > 0 {
						bar.setTotal(m.Total)
					}
					bar.add(m.Mailbox, m.Bytes)
				}); err != nil {
					return err
				}
				_, err := fmt.Fprintf(a.stdout, "%s is on shard %s; writers waited %s at most\n", args[0], to, last.Paused.Round(time.Millisecond))
				return err
			})
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "name of the `shard`")
	return cmd
}

func (a *app) accountWhere() *cobra.Command {
	return &cobra.Command{
		Use:   "where [NAME...]",
		Short: "Say on which shard users are, or all users",
		RunE: func(cmd *cobra.Command, names []string) error {
			return a.withControl(cmd.Context(), func(ctx context.Context, c admin.Control) error {
				if len(names) == 0 {
					users, err := c.Users(ctx)
					if err != nil {
						return err
					}
					for _, u := range users {
						names = append(names, u.Name)
					}
				}
				w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "NAME\tSHARD")
				for _, name := range names {
					shard, err := c.ShardOf(ctx, name)
					if err != nil {
						return err
					}
					fmt.Fprintf(w, "%s\t%s\n", name, shard)
				}
				return w.Flush()
			})
		},
	}
}
