package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/starling-mail/starling/transfer"
)

// journals is the folder below data_dir that import keeps its journals in.
const journals = "imports"

func (a *app) importCommand() *cobra.Command {
	var o transfer.Options
	var again bool
	cmd := &cobra.Command{
		Use:   "import NAME SOURCE",
		Short: "Bring mail into a user's mailboxes",
		Long: `Bring the mail of an mbox file, a Maildir or a Maildir++ tree into a user's
mailboxes, with flags, keywords and dates. From Dovecot's Maildirs UIDs, UIDVALIDITY
and subscriptions are kept too, where the mailbox has never held a message.

An import that was interrupted goes on where it was when it is run again, and one
that is run again when it was complete takes only what is new: a journal in the data
folder remembers what is in. A message of a Maildir is recognised by its file's name up
to the ":", one of an mbox file by the hash of its bytes.

Exit codes: 0 everything is in; 1 failure, or some messages could not be read;
2 wrong usage.`,
		Example: `  imapd import alice@example.org /var/mail/alice
  imapd import alice@example.org ~alice/Maildir
  imapd import alice@example.org old.mbox --into Archive/2019`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signalContext(cmd.Context())
			defer stop()
			return a.importMail(ctx, args[0], args[1], o, again)
		},
	}
	cmd.Flags().StringVar(&o.Into, "into", "", "`mailbox` for an mbox file or a Maildir (INBOX if not given), or above a whole tree")
	cmd.Flags().BoolVar(&o.MboxO, "mboxo", false, `the mbox file quotes only "From ", not ">From "`)
	cmd.Flags().BoolVar(&again, "again", false, "forget what was imported from there before")
	return cmd
}

func (a *app) importMail(ctx context.Context, user, path string, o transfer.Options, again bool) (err error) {
	c, err := a.config()
	if err != nil {
		return err
	}
	source, err := transfer.Open(ctx, path, o)
	if err != nil {
		return err
	}
	control, err := a.controlOf(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, control.Close()) }()
	store, err := control.Mail(ctx, user)
	if err != nil {
		return err
	}
	journal, err := transfer.OpenJournal(filepath.Join(c.Server.DataDir, journals), store.Account(), source.Path, again)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, journal.Close()) }()

	var total int64
	for _, f := range source.Folders {
		total += f.Size
	}
	p := a.newProgress(total)
	result, err := transfer.Import(ctx, store, source, journal, p.watcher())
	p.finish()
	fmt.Fprintf(a.stdout, "%s: %d folders, %d messages imported, %d were here already, %d failed\n",
		source.Kind, result.Folders, result.Messages, result.Known, result.Failed)
	if err != nil {
		return fmt.Errorf("%w\nRun the same command again to go on from here", err)
	}
	if result.Failed > 0 {
		return errors.New("not all messages could be read")
	}
	return nil
}
