package cluster

import (
	"iter"
	"math/bits"
	"sync/atomic"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/mailbox"
)

// What a node listens to is said in buckets, in which keys of the bus fall by their hash. With 18,000 keys, one in 230 of those that
// nobody there listens to falls into a bucket of one that somebody does: such events come for nothing, and that is all.
const (
	bucketBits = 22
	everything = 1 << bucketBits // the bucket of who takes all events
	buckets    = everything + 1
)

// bucketOf returns the bucket of a key.
func bucketOf(k eventbus.Key) uint32 {
	if k.Scope() == eventbus.Cluster {
		return everything
	}
	h := k.Hash()
	return uint32((h ^ h>>32) & (everything - 1))
}

// A bucketSet is a set of buckets, of 512 KB. One goroutine at a time may change it while others read. To ask what it wants, nil is who wants everything.
type bucketSet [(buckets + 63) / 64]uint64

// put takes b in or out, and returns whether that changed anything.
func (s *bucketSet) put(b uint32, in bool) bool {
	word, bit := &s[b/64], uint64(1)<<(b%64)
	if in {
		return atomic.OrUint64(word, bit)&bit == 0
	}
	return atomic.AndUint64(word, ^bit)&bit != 0
}

func (s *bucketSet) has(b uint32) bool { return atomic.LoadUint64(&s[b/64])&(1<<(b%64)) != 0 }

// wants says whether an event is for whom s describes. What is no Change is for all: there is little of it, and much depends on it.
func (s *bucketSet) wants(e *mailbox.Event) bool {
	return s == nil || e.Kind != mailbox.EventChanged || s.has(everything) ||
		s.has(bucketOf(eventbus.MailboxKey(e.Mailbox))) || s.has(bucketOf(eventbus.AccountKey(e.Account)))
}

// any says whether one of events is.
func (s *bucketSet) any(events []mailbox.Event) bool {
	for i := range events {
		if s.wants(&events[i]) {
			return true
		}
	}
	return false
}

// choose returns of list, which is events as they are written, what is wanted.
func (s *bucketSet) choose(events []mailbox.Event, list [][]byte) [][]byte {
	if s == nil {
		return list
	}
	chosen := make([][]byte, 0, len(list))
	for i := range events {
		if s.wants(&events[i]) {
			chosen = append(chosen, list[i])
		}
	}
	return chosen
}

// all returns the buckets in s, ascending.
func (s *bucketSet) all() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for i := range s {
			for word := atomic.LoadUint64(&s[i]); word != 0; word &= word - 1 {
				if !yield(uint32(64*i + bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}
