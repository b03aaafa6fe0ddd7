package storetest

import (
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// testMeter checks that a store that keeps figures counts what it does.
func testMeter(f *fixture) {
	m, ok := f.store.(mailstore.Meter)
	if !ok {
		f.Skip("the store keeps no figures")
	}
	account := f.account()
	before := m.Stats()
	_, err := f.store.Create(f.ctx, account, "One", nil)
	f.must(err)
	_, err = f.store.Create(f.ctx, account, "One", nil)
	f.kind(err, mailbox.AlreadyExists)
	after := m.Stats()
	if n := after.Writes - before.Writes; n < 1 { // maintenance may have come between
		f.Errorf("%d writes", n)
	}
	if n := after.Commits.Count() - before.Commits.Count(); n < 1 {
		f.Errorf("%d transactions", n)
	}
	f.equal("refusals", after.Errors[mailbox.AlreadyExists]-before.Errors[mailbox.AlreadyExists], uint64(1))
	for _, k := range []mailbox.Kind{mailbox.Other, mailbox.Unavailable, mailbox.Corrupt, mailbox.Unknown} {
		f.equal("errors of kind "+k.String(), after.Errors[k]-before.Errors[k], uint64(0))
	}
	f.equal("waiting", after.Waiting, 0)
	if p := after.Pool; p.Open < 1 || p.Open > p.Max || p.Used > p.Open || p.Opened < uint64(p.Open) {
		f.Errorf("connections: %+v", p)
	}
}
