package mailstore

import "context"

// A Finding is something wrong in a store.
type Finding struct {
	What   string // one line: what is wrong, where
	Mended bool   // it has been put right
	Lost   bool   // mail is lost or damaged; the rest are wrong figures and leftovers
}

// A Checker is a store that can verify itself.
type Checker interface {
	// Check verifies counts, structures, quotas, and that bodies and owners
	// match, and reports what it finds; with repair it mends what can be mended.
	Check(ctx context.Context, repair bool, report func(Finding)) error
}
