// Package conn is the client's side of one connection to an IMAP server: what a proxy
// needs to have another server's mailboxes served by Starling.
//
// It follows RFC 9051 and RFC 3501 and knows what mailstore/upstream uses of the
// extensions: CONDSTORE and QRESYNC, UIDPLUS, MOVE, LIST-EXTENDED with LIST-STATUS and
// SPECIAL-USE, ESEARCH, IDLE, QUOTA, NAMESPACE, ID, ENABLE, UTF8=ACCEPT, LITERAL+ and
// LITERAL-, MULTIAPPEND and COMPRESS=DEFLATE. Whether the server has one is asked with
// [Conn.Caps]; nothing is emulated here.
//
// # Commands
//
// A command is a struct, its arguments and its results in one:
//
//	box := conn.Select{Mailbox: "INBOX", ReadOnly: true}
//	all := conn.Search{Key: wire.SearchAnd{}}
//	err := c.Do(ctx, &box, &all) // one write, one round trip
//
// Messages are fetched as a stream ([Conn.Fetch]): item by item, the octets of bodies as
// readers, ENVELOPE and BODYSTRUCTURE as they were sent. What no command asked for
// goes to [Conn.Updates].
//
// # Errors
//
// A *[StatusError] is the server's NO or BAD; the connection goes on. Any other error, BYE
// (*[ByeError]), a fault in the protocol (*[ProtocolError]) or of the network
// (*[NetworkError]), ends the connection: what the server has done of the command, and what
// it would say next, is not known then. [Conn.Err] tells.
//
// # Trust
//
// A server is not trusted: whatever it sends neither panics nor takes more memory than
// [Limits] allow. Between commands a Conn holds no buffer, in IDLE a small one.
package conn
