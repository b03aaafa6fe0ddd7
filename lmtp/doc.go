// Package lmtp takes mail in: from an MTA by LMTP (RFC 2033) on a Unix socket or
// TCP, and from `imapd deliver` by Deliver. Both go the same way: the message is
// taken to its end first, then appended for one recipient after the other, each
// with its own outcome.
//
// Mail is delivered at least once: where the store cannot say whether it kept a
// message, the sender is told to try again.
package lmtp
