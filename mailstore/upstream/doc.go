// Package upstream is the store whose mailboxes another IMAP server keeps.
//
// A [Server] is that server as this node sees it: how it is reached, how often somebody may log in,
// whether it is down. An [Account] is one of its users while sessions of this node hold him, with
// his password and a few connections, which are lent out for one piece of work each.
// [Box.Delta] turns what a server with QRESYNC says of a mailbox into a change.
package upstream
