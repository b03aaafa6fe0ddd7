// Package transfer brings mail into a user's mailboxes from mbox files,
// Maildirs and Maildir++ trees, and writes it back as a Maildir++ tree, with
// flags, keywords and dates. Between Dovecot's Maildirs and Starling UIDs,
// UIDVALIDITY and subscriptions are kept too, so that clients need not download
// their mail again.
//
// An import can be interrupted at any moment and run again: a journal says
// which messages are in, see Journal.
package transfer
