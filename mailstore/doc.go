// Package mailstore is the contract between Starling and what keeps the mail.
// The store orders and remembers: it gives every mailbox its one order (the
// ModSeq, handed out inside the transaction), writes each event to its feed in
// the same transaction, and counts quotas exactly. storetest is the suite that
// every back end passes.
//
// What holds for every method:
//
//   - A call that returns without an error has made its change durable.
//   - A call that returns an error has changed nothing, unless the error's kind
//     is mailbox.Unknown: then the outcome could not be learnt, and the caller
//     must not try again blindly.
//   - Each committed event is handed to Publish exactly once, in the order of
//     the mailbox's ModSeqs, before the call that made it returns.
//   - Errors carry a mailbox.Kind. A context that ends stops the wait; what was
//     already handed to the writer may still be committed (kind Unknown).
//   - Methods may be called from any number of goroutines. Nothing that they
//     return is touched by the store afterwards.
package mailstore
