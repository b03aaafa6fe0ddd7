package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/starling-mail/starling/admin"
	"github.com/starling-mail/starling/cluster"
)

func (a *app) clusterKeys() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make the cluster's keys, and exchange them while it runs",
		Long: `Make the cluster's keys, and exchange them while it runs. Each command but "new" works on
the node that runs here: on its file cluster.keys_file and at once on the
running server. Keys are called by fingerprints, which tell nothing about them.

A rotation takes three rounds over all nodes; each refuses to begin before the one
before it is complete everywhere:

  imapd cluster keys new > new.key    # once; then copy it to all nodes
  imapd cluster keys add new.key      # on each node
  imapd cluster keys use 1f6b         # on each node: the new key's fingerprint
  imapd cluster keys remove 93c0      # on each node: the old one's`,
		RunE: needsSubcommand,
	}
	cmd.AddCommand(a.clusterKeysNew(), a.clusterKeysList(), a.clusterKeysAdd(),
		a.clusterKeysChange("use", "Use a key of this node's",
			`Use a key of this node's for what it sends from now on. All members must have the key; one
that does not would be cut off.`, admin.Control.UseKey),
		a.clusterKeysChange("remove", "No longer accept a key",
			`No longer accept a key, and close what rests on it. Nobody may use it any more: one that
does would be cut off.`, admin.Control.RemoveKey))
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

func (a *app) clusterKeysList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the keys, by fingerprint, and which members have them",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withControl(cmd.Context(), func(ctx context.Context, c admin.Control) error {
				keys, err := c.Keys(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(a.stdout, keys)
				}
				return showKeys(a.stdout, keys)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	return cmd
}

func showKeys(out io.Writer, keys []admin.ClusterKey) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	names := func(list []string) string {
		if len(list) == 0 {
			return "-"
		}
		return strings.Join(list, " ")
	}
	fmt.Fprintln(w, "FINGERPRINT\tHERE\tUSED BY\tALSO ON\tMISSING ON\tUNKNOWN ON")
	for _, k := range keys {
		here := "no"
		if k.Here {
			here = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", k.Fingerprint, here, names(k.UsedBy), names(k.HadBy), names(k.MissingOn), names(k.UnknownOn))
	}
	return w.Flush()
}

func (a *app) clusterKeysAdd() *cobra.Command {
	return &cobra.Command{
		Use:   "add FILE",
		Short: "Accept another key",
		Long: `Accept another key, from a file that "imapd cluster keys new" has written; "-" is the
standard input. It goes behind the others in cluster.keys_file. Prints its fingerprint.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := a.readKey(args[0])
			if err != nil {
				return err
			}
			return a.withControl(cmd.Context(), func(ctx context.Context, c admin.Control) error {
				if err := c.AddKey(ctx, key.String()); err != nil {
					return err
				}
				_, err := fmt.Fprintln(a.stdout, key.Fingerprint())
				return err
			})
		},
	}
}

// readKey reads the one key of a file.
func (a *app) readKey(path string) (cluster.Key, error) {
	const limit = 4 << 10
	in := a.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return cluster.Key{}, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, limit))
	if err != nil {
		return cluster.Key{}, err
	}
	keys, err := cluster.ParseKeys(b)
	if err != nil {
		return cluster.Key{}, fmt.Errorf("%s: %w", path, err)
	}
	if len(keys) != 1 {
		return cluster.Key{}, fmt.Errorf("%s: %d keys: want one", path, len(keys))
	}
	return keys[0], nil
}

// clusterKeysChange makes the commands that change what is done with a key.
func (a *app) clusterKeysChange(use, short, long string, do func(c admin.Control, ctx context.Context, fingerprint string, how admin.KeyChange) error) *cobra.Command {
	var how admin.KeyChange
	cmd := &cobra.Command{
		Use:   use + " FINGERPRINT",
		Short: short,
		Long:  long + "\nThe beginning of a fingerprint will do where it is the only one.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withControl(cmd.Context(), func(ctx context.Context, c admin.Control) error {
				return do(c, ctx, args[0], how)
			})
		},
	}
	cmd.Flags().DurationVar(&how.Wait, "wait", 5*time.Second, "how long to wait for the other members")
	cmd.Flags().BoolVar(&how.Force, "force", false, "leave members behind that stand against it, such as those that cannot be reached")
	return cmd
}
