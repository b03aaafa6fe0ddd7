// Package imapserver speaks IMAP4rev1 (RFC 3501) and IMAP4rev2 (RFC 9051) and
// their extensions with clients. A [Server] accepts connections; a conn is one
// client's dialogue; a session is what SELECT begins. The grammar is in wire,
// waiting connections in park, the layers of a client's byte stream in stream.
//
// At any moment one goroutine owns a connection, or none while it is parked.
// All that belongs to a conn is touched by its owner only, unless the field says
// otherwise, and has no lock for that reason.
package imapserver
