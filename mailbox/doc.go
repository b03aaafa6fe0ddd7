// Package mailbox holds the nouns of Starling: identities, flags, changes,
// events, users, quotas and the kinds of errors. It does no I/O and imports
// nothing of ours, so that every other package may speak of the same things.
package mailbox
