package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/starling-mail/starling/admin"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/quota"
)

func (a *app) quotaCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quota",
		Short: "Show, set and recount quotas",
		RunE:  needsSubcommand,
	}
	cmd.AddCommand(a.quotaGet(), a.quotaSet(), a.quotaList(), a.quotaRecount())
	return cmd
}

func (a *app) quotaGet() *cobra.Command {
	return &cobra.Command{
		Use:   "get NAME",
		Short: "Show a user's limits and usage",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withControl(cmd.Context(), func(ctx context.Context, c admin.Control) error {
				return a.showQuotas(ctx, c, args)
			})
		},
	}
}

func (a *app) quotaList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Show all users' limits and usage",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withControl(cmd.Context(), func(ctx context.Context, c admin.Control) error {
				users, err := c.Users(ctx)
				if err != nil {
					return err
				}
				var names []string
				for _, u := range users {
					names = append(names, u.Name)
				}
				return a.showQuotas(ctx, c, names)
			})
		},
	}
}

func (a *app) showQuotas(ctx context.Context, c admin.Control, names []string) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tSTORAGE\tLIMIT\tMESSAGES\tLIMIT\tLIMITS")
	for _, name := range names {
		q, err := c.Quota(ctx, name)
		if err != nil {
			return err
		}
		storage, messages := quota.FormatLimits(q.Limits)
		whose := "default"
		if q.Own {
			whose = "own"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", name, quota.FormatSize(q.Usage.Storage), storage, q.Usage.Messages, messages, whose)
	}
	return w.Flush()
}

func (a *app) quotaSet() *cobra.Command {
	var storage, messages string
	var standard bool
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Give a user limits of their own, or the default ones",
		Long: `Give a user limits of their own, or with --default those of the configuration. A
limit that is not given stays as it is.`,
		Example: `  imapd quota set alice@example.org --storage 10GiB --messages none
  imapd quota set alice@example.org --default`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !standard && storage == "" && messages == "" {
				return &exitError{exitUsage, errors.New("give --storage, --messages or --default")}
			}
			if _, err := quota.ParseLimits(storage, messages); err != nil {
				return &exitError{exitUsage, err}
			}
			return a.withControl(cmd.Context(), func(ctx context.Context, c admin.Control) error {
				if standard {
					return c.SetQuota(ctx, args[0], nil)
				}
				q, err := c.Quota(ctx, args[0])
				if err != nil {
					return err
				}
				l, err := newLimits(q.Limits, storage, messages)
				if err != nil {
					return err
				}
				return c.SetQuota(ctx, args[0], &l)
			})
		},
	}
	cmd.Flags().StringVar(&storage, "storage", "", `bytes, such as 500MiB or 10G, or "none"`)
	cmd.Flags().StringVar(&messages, "messages", "", `number of messages, or "none"`)
	cmd.Flags().BoolVar(&standard, "default", false, "the limits of the configuration")
	cmd.MarkFlagsMutuallyExclusive("default", "storage")
	cmd.MarkFlagsMutuallyExclusive("default", "messages")
	return cmd
}

// newLimits changes those limits that are given.
func newLimits(l mailbox.QuotaLimits, storage, messages string) (mailbox.QuotaLimits, error) {
	given, err := quota.ParseLimits(storage, messages)
	if storage != "" {
		l.Storage = given.Storage
	}
	if messages != "" {
		l.Messages = given.Messages
	}
	return l, err
}

func (a *app) quotaRecount() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "recount [NAME...]",
		Short: "Count the users' mail anew and correct what was wrong",
		Long: `Count the mail of the users, or of all, anew and correct what was wrong. With
--check nothing is corrected.

Exit codes: 0 all was right, or has been corrected; 1 failure; 2 wrong usage;
3 with --check: something is wrong.`,
		Example: `  imapd quota recount --check
  imapd quota recount alice@example.org`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withControl(cmd.Context(), func(ctx context.Context, c admin.Control) error {
				sum, err := c.Recount(ctx, args, !check, a.showRecount)
				if err != nil {
					return err
				}
				fmt.Fprintf(a.stdout, "%d accounts, %d wrong, %d failed\n", sum.Accounts, sum.Wrong, sum.Failed)
				switch {
				case sum.Failed > 0:
					return errors.New("not all accounts could be counted")
				case sum.Wrong > 0 && check:
					return &exitError{code: exitFaults}
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "correct nothing")
	return cmd
}

func (a *app) showRecount(r quota.Recounted) {
	switch {
	case r.Err != nil:
		fmt.Fprintf(a.stderr, "%s: %v\n", r.User, r.Err)
	case r.Wrong():
		fmt.Fprintf(a.stdout, "%s: counted %s, is %s\n", r.User, showUsage(r.Was), showUsage(r.Is))
	}
}

func showUsage(u mailbox.QuotaUsage) string {
	return strconv.FormatInt(u.Storage, 10) + " bytes in " + strconv.FormatInt(u.Messages, 10) + " messages"
}
