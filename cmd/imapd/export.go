package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/starling-mail/starling/admin"
	"github.com/starling-mail/starling/transfer"
)

func (a *app) exportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "export NAME FOLDER",
		Short: "Write a user's mail as a Maildir++ tree",
		Long: `Write a user's mail as a Maildir++ tree with flags, keywords and dates, and with
Dovecot's files for UIDs, UIDVALIDITY, keywords and subscriptions. FOLDER must be
empty or absent.`,
		Example: `  imapd export alice@example.org /backup/alice`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withControl(cmd.Context(), func(ctx context.Context, c admin.Control) error {
				store, err := c.Mail(ctx, args[0])
				if err != nil {
					return err
				}
				p := a.newProgress(0)
				result, err := transfer.Export(ctx, store, args[1], p.setTotal, p.watcher())
				p.finish()
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(a.stdout, "%d folders, %d messages exported\n", result.Folders, result.Messages)
				return err
			})
		},
	}
}
