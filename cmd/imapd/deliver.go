package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/starling-mail/starling/admin"
	"github.com/starling-mail/starling/mailbox"
)

// Exit codes of deliver, from sysexits.h, which MTAs understand.
const (
	exTempFail   = 75
	exNoUser     = 67
	exDataErr    = 65
	exCantCreate = 73
)

func (a *app) deliverCommand() *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use:   "deliver ADDRESS",
		Short: "Deliver a message from standard input",
		Long: `Deliver a message from standard input to a user, whose address may have a detail
that names a mailbox, as by LMTP.

Exit codes, as MTAs expect them: 0 delivered; 65 the message cannot be taken
(too large); 67 no such user; 73 over quota, where the configuration has that
as permanent; 75 try again later; 2 wrong usage.`,
		Example: `  printf 'Subject: Hello\n\nIt works.\n' | imapd deliver alice@example.org
  imapd deliver alice+lists@example.org --from list@example.com < message.eml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			permanent := false
			err := a.withControl(cmd.Context(), func(ctx context.Context, c admin.Control) error {
				return c.Deliver(ctx, args[0], from, a.stdin)
			})
			if err == nil {
				return nil
			}
			if c, cerr := a.config(); cerr == nil {
				permanent = c.LMTP.OverQuota == "permanent"
			}
			return &exitError{deliverCode(err, permanent), fmt.Errorf("deliver to %s: %w", args[0], err)}
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "sender's `address` for Return-Path; empty: none")
	return cmd
}

// deliverCode says what an MTA should make of an error: what may work later is
// a temporary failure.
func deliverCode(err error, overQuotaPermanent bool) int {
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	switch mailbox.KindOf(err) {
	case mailbox.NonExistent, mailbox.Cannot:
		return exNoUser
	case mailbox.TooBig:
		return exDataErr
	case mailbox.OverQuota:
		if overQuotaPermanent {
			return exCantCreate
		}
	}
	return exTempFail
}
