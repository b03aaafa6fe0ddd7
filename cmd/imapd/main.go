// Imapd is Starling's server and its administration.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/starling-mail/starling/config"
)

// version is set by the linker.
var version = "unknown"

// Exit codes. deliver has those of sysexits.h instead, and probe its own.
const (
	exitFailure = 1
	exitUsage   = 2
	exitFaults  = 3 // a check ran and found something wrong
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run runs one command and returns its exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(context.Background())
	if err == nil {
		return 0
	}
	if text := err.Error(); text != "" {
		fmt.Fprintf(stderr, "imapd: %s\n", text)
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	if !a.began {
		fmt.Fprintln(stderr, `Try "imapd help".`)
		return exitUsage
	}
	return exitFailure
}

// An exitError is an error with an exit code of its own.
type exitError struct {
	code int
	err  error // nil: everything has been said
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// An app is one run of imapd.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	configFile     string
	began          bool // the command line made sense and the command runs
}

// configVariable is the environment's variable for --config.
const configVariable = "IMAPD_CONFIG"

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "imapd",
		Short: "Starling, an IMAP server",
		Long: `Starling, an IMAP server.

All commands but serve, probe, demo, version and check-config work on the users and
their mail. They ask the running server to, through its control socket, or do it
themselves where none is running.

Exit codes: 0 success; 1 failure; 2 wrong usage; 3 a check found faults.
deliver has those of sysexits.h, and probe its own.`,
		Example: `  imapd serve --quickstart
  imapd serve --config /etc/imapd/config.toml
  imapd user add alice@example.org --random`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	file := os.Getenv(configVariable)
	if file == "" {
		file = "/etc/imapd/config.toml"
	}
	root.PersistentFlags().StringVarP(&a.configFile, "config", "c", file, "configuration `file`; also by "+configVariable)
	root.AddCommand(a.serveCommand(), a.checkConfigCommand(), a.userCommand(), a.accountCommand(), a.quotaCommand(), a.importCommand(),
		a.exportCommand(), a.deliverCommand(), a.checkStoreCommand(), a.backupCommand(), a.clusterCommand(),
		a.probeCommand(), a.demoCommand(), a.versionCommand())
	a.noteBegin(root)
	return root
}

// noteBegin makes every command note that it begins: an error before that is
// one of usage.
func (a *app) noteBegin(cmd *cobra.Command) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			a.began = true
			return run(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		a.noteBegin(sub)
	}
}

// config loads the configuration. Its faults are exit code 3 to check-config
// only.
func (a *app) config() (*config.Config, error) {
	c, err := config.Load(a.configFile)
	if err != nil {
		return nil, fmt.Errorf("the configuration is not right:\n%w", err)
	}
	return c, nil
}
