package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/starling-mail/starling/admin"
	"github.com/starling-mail/starling/mailstore"
)

func (a *app) checkStoreCommand() *cobra.Command {
	var o mailstore.CheckOptions
	cmd := &cobra.Command{
		Use:   "check-store",
		Short: "Verify the store and say what is wrong",
		Long: `Verify counts, structures, quotas and that bodies and messages match, and say
what is wrong. The server may go on serving meanwhile. With --repair what can be
mended is mended; a store in PostgreSQL is only looked at.

Exit codes: 0 nothing is wrong, or all has been mended; 1 failure; 2 wrong usage;
3 something is wrong.`,
		Example: `  imapd check-store
  imapd check-store --repair
  imapd check-store --deep`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withControl(cmd.Context(), func(ctx context.Context, c admin.Control) error {
				var found, mended, lost int
				err := c.Check(ctx, o, func(f mailstore.Finding) {
					found++
					note := ""
					if f.Lost {
						lost++
						note = " (mail is lost or damaged)"
					}
					if f.Mended {
						mended++
						note += " (mended)"
					}
					fmt.Fprintf(a.stdout, "%s%s\n", f.What, note)
				})
				if err != nil {
					return err
				}
				fmt.Fprintf(a.stdout, "%d faults, %d mended, %d with lost mail\n", found, mended, lost)
				if found > mended {
					return &exitError{code: exitFaults}
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&o.Repair, "repair", false, "mend what can be mended (embedded store)")
	cmd.Flags().BoolVar(&o.Deep, "deep", false, "read every message and compare its hash (PostgreSQL; the embedded store does so in any case)")
	return cmd
}
