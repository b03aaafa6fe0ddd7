package sharded

import (
	"sync"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// routes remember where things are. What they say may be out of date.
type routes struct {
	accounts bounded[mailbox.AccountID, *shard]
	boxes    bounded[mailbox.ID, mailbox.AccountID]
	names    bounded[string, mailbox.AccountID]
}

func newRoutes(limit int) routes {
	return routes{
		accounts: bounded[mailbox.AccountID, *shard]{limit: limit},
		boxes:    bounded[mailbox.ID, mailbox.AccountID]{limit: limit},
		names:    bounded[string, mailbox.AccountID]{limit: limit},
	}
}

// learn remembers whose the mailboxes are.
func (r *routes) learn(list ...mailstore.Info) {
	for _, i := range list {
		if _, known := r.boxes.get(i.ID); !known && !i.ID.IsZero() {
			r.boxes.put(i.ID, i.Account)
		}
	}
}

// A bounded map forgets any entry when it is full.
type bounded[K comparable, V any] struct {
	limit int
	mu    sync.RWMutex
	m     map[K]V
}

func (b *bounded[K, V]) get(k K) (V, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	v, ok := b.m[k]
	return v, ok
}

func (b *bounded[K, V]) put(k K, v V) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.m == nil {
		b.m = make(map[K]V)
	}
	if _, there := b.m[k]; !there && len(b.m) >= b.limit {
		for other := range b.m {
			delete(b.m, other)
			break
		}
	}
	b.m[k] = v
}

func (b *bounded[K, V]) forgetAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.m = nil
}

func (b *bounded[K, V]) forget(k K) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.m, k)
}
