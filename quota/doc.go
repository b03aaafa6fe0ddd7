// Package quota says what a quota is to people and to IMAP: sizes as they are
// written in configurations and shown on terminals, the name of an account's
// root, and the resources of RFC 9208 in their units. Counting is the store's
// business (mailstore.Quotas); Recount has it done for many accounts.
package quota
