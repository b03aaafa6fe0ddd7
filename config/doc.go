// Package config turns a TOML file into a validated Config. An unknown key is
// an error, and all faults of a file are reported at once, each with its key,
// its line and what is allowed.
//
// Every value may come from elsewhere: the string "env:NAME" stands for the
// environment variable NAME and "file:PATH" for the content of a file without
// its last line end. Both also serve where a number or a boolean is wanted.
package config
