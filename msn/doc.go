// Package msn numbers messages.
//
// An [Index] holds the live UIDs of one mailbox and is shared by everybody who watches it. A [View] holds what one client
// has been told, as a difference to the Index: so a client that is up to date costs 40 bytes, whatever the mailbox holds.
//
// The package is pure: it has no lock, starts no goroutine and does no I/O. Neither type may be used by several goroutines
// at once unless all of them only read; the tracker guards an Index and its Views by one mutex.
package msn
