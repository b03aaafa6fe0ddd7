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

// A bucketSet is a set of buckets, of 512 KB. One goroutine at a time may change it while others read.
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
	return e.Kind != mailbox.EventChanged || s.has(everything) ||
		s.has(bucketOf(eventbus.MailboxKey(e.Mailbox))) || s.has(bucketOf(eventbus.AccountKey(e.Account)))
}

// from returns the buckets in s from b on, ascending.
func (s *bucketSet) from(b uint32) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for i := b / 64; i < uint32(len(s)); i++ {
			word := atomic.LoadUint64(&s[i])
			if i == b/64 {
				word &= ^uint64(0) << (b % 64)
			}
			for ; word != 0; word &= word - 1 {
				if !yield(64*i + uint32(bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}
