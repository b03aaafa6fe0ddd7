package auth

import "container/list"

// A table is a map of bounded size that forgets what was not used for longest.
// It has no lock: its owner has.
type table[K comparable, V any] struct {
	max     int
	order   list.List // of *item[K, V], the latest used first
	entries map[K]*list.Element
}

type item[K comparable, V any] struct {
	key   K
	value V
}

func newTable[K comparable, V any](size int) *table[K, V] {
	return &table[K, V]{max: size, entries: make(map[K]*list.Element)}
}

// get returns the value of k and marks it as used, or nil.
func (t *table[K, V]) get(k K) *V {
	e := t.entries[k]
	if e == nil {
		return nil
	}
	t.order.MoveToFront(e)
	return &e.Value.(*item[K, V]).value
}

// at returns the value of k, a new one if there was none.
func (t *table[K, V]) at(k K) *V {
	if v := t.get(k); v != nil {
		return v
	}
	if len(t.entries) >= t.max {
		t.remove(t.order.Back().Value.(*item[K, V]).key)
	}
	it := &item[K, V]{key: k}
	t.entries[k] = t.order.PushFront(it)
	return &it.value
}

func (t *table[K, V]) remove(k K) {
	if e := t.entries[k]; e != nil {
		t.order.Remove(e)
		delete(t.entries, k)
	}
}

// removeIf removes the values that gone says are; it looks at all of them.
func (t *table[K, V]) removeIf(gone func(*V) bool) {
	for k, e := range t.entries {
		if gone(&e.Value.(*item[K, V]).value) {
			t.remove(k)
		}
	}
}
