// Package wire is the grammar of IMAP as a server sees it: a [Decoder] that
// turns a client's octets into typed commands and an [Encoder] that appends
// responses to a buffer. It follows RFC 9051 and, where they differ for older
// clients, RFC 3501; extensions are named at the types that they add. It knows
// nothing of mailboxes or sessions and keeps no state beyond one command.
//
// # Reading commands
//
// The connection owns the bufio.Reader and lends it to the Decoder:
//
//	cmd, err := dec.Command()      // tag and name
//	switch cmd.Name {
//	case "SELECT":
//		args, err := dec.Select()  // the arguments, up to and including CRLF
//	...
//	dec.Discard()                  // after any error: skip what is left of the command
//
// Every method that reads the arguments of a whole command begins behind the
// command's name and, on success, has read its CRLF; [Decoder.Append] is the
// one exception because it hands out the message as a stream. Commands
// without arguments are read with [Decoder.End].
//
// A *[SyntaxError], *[TooBigError] or *[BadCharsetError] concerns this command
// only: the caller answers it and goes on with [Decoder.Discard], unless the
// error says Desync. Any other error came from the reader or from the Continue
// callback and ends the connection.
//
// # Memory
//
// Nothing is allocated because a client announced a number: lines and literals
// grow as their octets arrive, within [Limits]. Strings that are returned are
// copies. Between commands a Decoder holds no buffer.
package wire
