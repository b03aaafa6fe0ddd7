package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/starling-mail/starling/config"
)

func (a *app) checkConfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check-config",
		Short: "Check the configuration and the certificates it names",
		Long: `Check the configuration and the certificates it names, and print all faults at
once, each with its line, its key and what is allowed.

Exit codes: 0 nothing is wrong; 3 something is; 2 wrong usage.`,
		Example: `  imapd check-config --config /etc/imapd/config.toml`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := config.Load(a.configFile)
			if err == nil {
				err = check(c)
			}
			if err != nil {
				fmt.Fprintln(a.stdout, err)
				return &exitError{code: exitFaults}
			}
			for _, w := range config.Exposed(a.configFile) {
				fmt.Fprintln(a.stdout, "warning:", w)
			}
			_, err = fmt.Fprintf(a.stdout, "%s: no faults\n", a.configFile)
			return err
		},
	}
}

// check finds what is wrong with a configuration that only those parts can
// tell which use it.
func check(c *config.Config) error {
	_, certs := certificates(c)
	_, names := normalizer(c)
	_, hash := hasher(c)
	_, roots := rootCAs(c.Store.S3.CAFile)
	return errors.Join(certs, names, hash, roots, checkCluster(c))
}
