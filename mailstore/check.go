package mailstore

import "context"

// A Finding is something wrong in a store.
type Finding struct {
	What   string // one line: what is wrong, where
	Mended bool   // it has been put right
	Lost   bool   // mail is lost or damaged; the rest are wrong figures and leftovers
}

// CheckOptions say how a store is checked.
type CheckOptions struct {
	// Repair mends what can be mended. A store that cannot refuses it: kind Cannot.
	Repair bool
	// Deep reads every body and compares its hash. A store may do so in any case.
	Deep bool
}

// A Checker is a store that can verify itself.
type Checker interface {
	// Check verifies counts, structures, quotas, and that bodies and owners
	// match, and reports what it finds. It may run while the store serves.
	Check(ctx context.Context, o CheckOptions, report func(Finding)) error
}
