// Package lmtp takes mail in: from an MTA by LMTP (RFC 2033) on a Unix socket or
// TCP, and from `imapd deliver` by Deliver. Both go the same way: the message is
// taken to its end first, then appended for one recipient after the other, each
// with its own outcome.
//
// Mail is delivered at least once: where the store cannot say whether it kept a
// message, the sender is told to try again.
//
// Replies (RFC 3463) for one recipient, at RCPT or after the message:
//
//	550 5.1.1  no such user
//	553 5.1.3  no address that a user can have
//	450 4.2.1  the user is disabled; for a time, since Disable can be undone
//	452 4.2.2  over quota, or 552 5.2.2 (Options.OverQuotaPermanent)
//	552 5.3.4  the message is too big
//	452 4.3.1  another limit
//	451 4.3.0  whatever else fails, which is not the message's fault
//
// For a connection: 421 4.3.2 at shutdown and beyond Options.MaxConnections,
// 421 4.4.2 after silence, 554 5.7.1 for addresses that are not trusted.
package lmtp
