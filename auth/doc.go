// Package auth decides who somebody is: it brings user names into one form,
// hashes and verifies passwords, remembers for a while what it has verified,
// slows down guessing, and has the server sides of the SASL mechanisms.
//
// Where the users are kept is the store's business; auth sees it through small
// interfaces. Nothing here knows IMAP: what an error becomes on the wire is
// decided by the caller.
package auth
