package tracker

// lru lists the trackers that take memory from the budget, the last used first. It is guarded by Set.mu.
type lru struct {
	first, last *tracker
	bytes       int64
}

// A place is a tracker's in the lru.
type place struct {
	before, after *tracker
	bytes         int64
}

// use puts t to the front with what it takes now.
func (l *lru) use(t *tracker, bytes int64) {
	l.remove(t)
	if bytes == 0 {
		return
	}
	t.place = &place{after: l.first, bytes: bytes}
	if l.first != nil {
		l.first.place.before = t
	} else {
		l.last = t
	}
	l.first = t
	l.bytes += bytes
}

// remove takes t out, if it is in.
func (l *lru) remove(t *tracker) {
	p := t.place
	if p == nil {
		return
	}
	if p.before != nil {
		p.before.place.after = p.after
	} else {
		l.first = p.after
	}
	if p.after != nil {
		p.after.place.before = p.before
	} else {
		l.last = p.before
	}
	l.bytes -= p.bytes
	t.place = nil
}
