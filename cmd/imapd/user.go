package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/starling-mail/starling/admin"
)

func (a *app) userCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Add, list and change users",
		RunE:  needsSubcommand,
	}
	cmd.AddCommand(a.userAdd(), a.userList(), a.userPasswd(), a.userAliases(),
		a.userSwitch("enable", "Let a user log in again", false),
		a.userSwitch("disable", "Keep a user from logging in; their mail waits at its senders'", true),
		a.userRemove())
	return cmd
}

// needsSubcommand is what a command does that is only a group.
func needsSubcommand(cmd *cobra.Command, args []string) error {
	var err error
	if len(args) > 0 {
		err = fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())
	} else {
		err = fmt.Errorf("%q needs a command", cmd.CommandPath())
	}
	return &exitError{exitUsage, fmt.Errorf("%w; see \"%s --help\"", err, cmd.CommandPath())}
}

// A passwordSource says where a new password comes from.
type passwordSource struct {
	stdin, random bool
}

func (p *passwordSource) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&p.stdin, "password-stdin", false, "read the password from the first line of standard input")
	cmd.Flags().BoolVar(&p.random, "random", false, "make a random password and print it")
	cmd.MarkFlagsMutuallyExclusive("password-stdin", "random")
}

// maxPasswordLine bounds the line that a password is read from.
const maxPasswordLine = 4096

// password gets a password from where it comes.
func (a *app) password(p passwordSource) (string, error) {
	switch {
	case p.random:
		return rand.Text(), nil
	case p.stdin:
		line, err := bufio.NewReader(io.LimitReader(a.stdin, maxPasswordLine)).ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			return "", errors.Join(errors.New("no password on standard input"), notEOF(err))
		}
		return line, nil
	}
	file, ok := a.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return "", &exitError{exitUsage, errors.New("there is no terminal to ask for a password: use --password-stdin or --random")}
	}
	var typed [2]string
	for i, prompt := range []string{"Password: ", "Again: "} {
		fmt.Fprint(a.stderr, prompt)
		b, err := term.ReadPassword(int(file.Fd()))
		fmt.Fprintln(a.stderr)
		if err != nil {
			return "", err
		}
		typed[i] = string(b)
	}
	switch {
	case typed[0] != typed[1]:
		return "", errors.New("the two passwords differ")
	case typed[0] == "":
		return "", errors.New("the password is empty")
	}
	return typed[0], nil
}

func notEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

func (a *app) userAdd() *cobra.Command {
	var p passwordSource
	var aliases []string
	var isAdmin bool
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a user",
		Long:  "Add a user with an account. Without --password-stdin and --random, a password is asked for on the terminal.",
		Example: `  imapd user add alice@example.org
  imapd user add bob@example.org --random --alias postmaster@example.org`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := a.password(p)
			if err != nil {
				return err
			}
			return a.withControl(cmd.Context(), func(ctx context.Context, c admin.Control) error {
				u, err := c.AddUser(ctx, admin.NewUser{Name: args[0], Password: password, Aliases: aliases, Admin: isAdmin})
				if err != nil {
					return err
				}
				return a.tellPassword(u.Name, p, password)
			})
		},
	}
	p.flags(cmd)
	cmd.Flags().StringSliceVar(&aliases, "alias", nil, "further `name` for login and delivery; may be given several times")
	cmd.Flags().BoolVar(&isAdmin, "admin", false, "may set quotas by IMAP")
	return cmd
}

// tellPassword prints a password that nobody knows yet.
func (a *app) tellPassword(user string, p passwordSource, password string) error {
	if !p.random {
		return nil
	}
	_, err := fmt.Fprintf(a.stdout, "%s %s\n", user, password)
	return err
}

func (a *app) userPasswd() *cobra.Command {
	var p passwordSource
	cmd := &cobra.Command{
		Use:   "passwd NAME",
		Short: "Give a user another password",
		Long:  "Give a user another password. Without --password-stdin and --random, it is asked for on the terminal.",
		Example: `  imapd user passwd alice@example.org
  imapd user passwd alice@example.org --random`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := a.password(p)
			if err != nil {
				return err
			}
			return a.withControl(cmd.Context(), func(ctx context.Context, c admin.Control) error {
				if err := c.SetPassword(ctx, args[0], password); err != nil {
					return err
				}
				return a.tellPassword(args[0], p, password)
			})
		},
	}
	p.flags(cmd)
	return cmd
}

func (a *app) userList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the users",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withControl(cmd.Context(), func(ctx context.Context, c admin.Control) error {
				users, err := c.Users(ctx)
				if err != nil {
					return err
				}
				w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "NAME\tSTATE\tCREATED\tALIASES")
				for _, u := range users {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", u.Name, userState(u), u.Created.Format("2006-01-02"), strings.Join(u.Aliases, " "))
				}
				return w.Flush()
			})
		},
	}
}

func userState(u admin.User) string {
	state := "enabled"
	switch {
	case u.Disabled:
		state = "disabled"
	case !u.HasPassword:
		state = "no-password"
	}
	if u.Admin {
		state += ",admin"
	}
	return state
}

func (a *app) userAliases() *cobra.Command {
	return &cobra.Command{
		Use:     "aliases NAME [ALIAS...]",
		Short:   "Replace a user's aliases",
		Example: `  imapd user aliases alice@example.org postmaster@example.org abuse@example.org`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withControl(cmd.Context(), func(ctx context.Context, c admin.Control) error {
				return c.SetAliases(ctx, args[0], args[1:])
			})
		},
	}
}

func (a *app) userSwitch(name, short string, disabled bool) *cobra.Command {
	return &cobra.Command{
		Use:   name + " NAME",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withControl(cmd.Context(), func(ctx context.Context, c admin.Control) error {
				return c.SetDisabled(ctx, args[0], disabled)
			})
		},
	}
}

func (a *app) userRemove() *cobra.Command {
	return &cobra.Command{
		Use:   "remove NAME",
		Short: "Remove a user with all their mail",
		Long:  "Remove a user with all their mail, at once and for good. NAME must be the user's own name, not an alias.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withControl(cmd.Context(), func(ctx context.Context, c admin.Control) error {
				return c.RemoveUser(ctx, args[0])
			})
		},
	}
}
