package tracker

import (
	"sync"
	"time"
)

// A comparison brings the watched mailboxes of a Set to the store's state, one after the other and no more of them a second than Options say. It is for when
// it is not known what was missed: after a long absence, or when the store was restored from a backup.
type comparison struct {
	mu      sync.Mutex
	line    []*tracker
	running bool
}

// compareLater is called by the bus when anything may have changed. Who watches t goes on with what is known, and with the events that come,
// until it is t's turn. Who opens it from now on sees what is in the store.
func (t *tracker) compareLater() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.diff = true
	if !t.inLine {
		t.inLine = true
		t.set.comparison.add(t)
	}
}

// add puts t at the end of the line.
func (c *comparison) add(t *tracker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.line = append(c.line, t)
	if !c.running {
		c.running = t.set.background.run(t.set.compare)
	}
}

// next takes the first out of the line; nil if there is none, and then running has ended.
func (c *comparison) next() *tracker {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.line) == 0 {
		c.line, c.running = nil, false
		return nil
	}
	t := c.line[0]
	c.line = c.line[1:]
	return t
}

// compare goes along the line.
func (s *Set) compare() {
	compared, began := 0, time.Now()
	for t := s.comparison.next(); t != nil; t = s.comparison.next() {
		t.mu.Lock()
		t.inLine = false
		due := t.gone == nil && len(t.views) > 0 && t.behind() && !t.repairing
		t.mu.Unlock()
		if !due {
			continue
		}
		if err := t.ready(s.background.ctx, 0, 0); err != nil { // which is tried again
			s.Log.Warn().Err(err).Stringer("mailbox", t.box).Msg("mailbox cannot be compared with the store")
		}
		compared++
		if !sleep(s.background.ctx, time.Second/time.Duration(s.CompareRate)) {
			return
		}
	}
	s.Log.Info().Int("mailboxes", compared).Dur("took", time.Since(began)).Msg("what is watched was compared with the store")
}
