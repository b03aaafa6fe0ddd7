// Package probe is a canary for IMAP servers that show the same mail: it logs
// in on several as an ordinary client, changes a mailbox on one, and measures
// how long another takes to tell of it. It knows nothing of Starling; any IMAP4rev1
// server will do.
//
// The client is go-imap v1 with go-imap-idle, of which many programs are made. It
// is used below its convenience methods, for three reasons: its channel of
// updates stops the whole client when nobody reads it, the state of its selected
// mailbox cannot be read without a race, and it waits for ever for a server that
// goes away before it has asked for a literal. So each command here is given
// to Client.Execute with a handler that sees what the server tells meanwhile.
package probe
