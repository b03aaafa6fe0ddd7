package main

import (
	"context"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/starling-mail/starling/admin"
)

func (a *app) backupCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "backup FOLDER",
		Short: "Copy the store, also while the server runs",
		Long: `Copy the store with all users and their mail into a folder, also while the server
runs. What is there when the copy begins is in it, and the server can run on the copy
as data_dir. Configuration and certificates are not copied.

FOLDER must hold no copy yet. Where a server runs, it is the one that writes there.`,
		Example: `  imapd backup /backup/mail-2026-03-01`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			folder, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			return a.withControl(cmd.Context(), func(ctx context.Context, c admin.Control) error {
				return c.Backup(ctx, folder)
			})
		},
	}
}
