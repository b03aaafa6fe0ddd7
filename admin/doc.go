// Package admin is what an administrator does to a store: users, quotas,
// delivery, checks, and the mail of an account for import and export. A
// Service does it on an open store; a Client asks the Service of a running
// server to, by HTTP over its control socket. Both are a Control, so that
// the subcommands need not know which one they have.
//
// Whoever can open the control socket may do everything. Listen therefore gives it
// the mode 0600; there are no credentials on top.
package admin
