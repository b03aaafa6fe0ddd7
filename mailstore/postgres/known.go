package postgres

import (
	"sync"

	"github.com/starling-mail/starling/mailbox"
)

// maxKnown bounds how many boxes are remembered.
const maxKnown = 4096

// known remembers boxes as this node last left them. What it says may be out of
// date: it is for guesses.
type known struct {
	mu sync.Mutex
	m  map[mailbox.ID]*remembered
}

type remembered struct {
	box *box
	// shared says that another node has written to the box since this one had. A guess
	// would probably fail.
	shared bool
}

// guess returns a copy of a box about which a guess is worth while, or nil.
func (k *known) guess(id mailbox.ID) *box {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := k.m[id]
	if r == nil || r.shared {
		return nil
	}
	return r.box.clone()
}

// committed remembers a box as a transaction left it. Found is the ModSeq that
// the transaction found.
func (k *known) committed(b *box, found mailbox.ModSeq) {
	b = b.clone()
	k.mu.Lock()
	defer k.mu.Unlock()
	old := k.m[b.ID]
	if k.m == nil {
		k.m = make(map[mailbox.ID]*remembered)
	}
	if old == nil && len(k.m) >= maxKnown {
		for id := range k.m { // any
			delete(k.m, id)
			break
		}
	}
	k.m[b.ID] = &remembered{box: b, shared: old != nil && old.box.ModSeq != found}
}

// forget drops a box about which nothing is sure.
func (k *known) forget(id mailbox.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.m, id)
}
