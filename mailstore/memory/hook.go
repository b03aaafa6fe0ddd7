package memory

import "context"

// A Step is a moment in a call of a Store.
type Step uint8

// The steps.
const (
	// Before: nothing has happened yet. An error is what the call returns;
	// Unavailable is the kind of a database that cannot be reached.
	Before Step = iota
	// After: what was to be read is read, what was to be written is committed,
	// but not published yet, and the caller has no reply. An error of a read is what the call
	// returns. After one of a write nobody is told of the commit, and the call
	// fails with kind Unknown: the node died, or lost the database, at that moment.
	After
)

// A Hook is called, with no lock held, at each Step of each call of a Store that
// has come so far; op is the method's name, such as "Append". It may wait, for a slow
// database or a slow node: other nodes go on meanwhile, but what this
// node commits after a write that waits in After is published behind it. A Hook that
// waits should stop when ctx ends, if the caller is to be let go then. It must not
// use the Store that calls it.
type Hook func(ctx context.Context, step Step, op string) error
