// Package tracker follows the mailboxes that somebody on this node watches.
//
// A [Set] has one tracker for each such mailbox. The tracker is the mailbox's only bus listener here: it owns the Index of live UIDs, the
// ModSeq up to which it knows everything, and the Views attached to it. A [View] is one session's numbering; commands
// ask it what their numbers mean, and [View.Flush] says what the client has to be told.
//
// The bus may lose, repeat and reorder. A tracker accepts a Change only if it follows what is known, waits a moment for
// one that is missing and then asks the store. So what a client is told may be late but is never wrong.
//
// Locks: each tracker has one mutex for everything it owns, its Views included; Set.mu guards which trackers there are. Neither
// is held while the store or a Watcher is called, and Set.mu is never held while a tracker's is taken.
package tracker
