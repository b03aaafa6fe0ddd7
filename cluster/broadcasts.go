package cluster

import (
	"math"
	"slices"
	"sync"

	"github.com/starling-mail/starling/eventbus/codec"
	"github.com/starling-mail/starling/mailbox"
)

const (
	// maxBroadcast is the size of a broadcast that fits a packet of memberlist, which carries 1,400 bytes, with all that is around it. A
	// larger one would never be sent and stay for ever.
	maxBroadcast = 1000
	// crowd is how many broadcasts wait before Changes are told as hints.
	crowd = 128
	// maxBroadcasts is how many wait at most.
	maxBroadcasts = 1024
	// retransmit is how often a broadcast is sent, times the logarithm of the members' number.
	retransmit = 4
)

// A broadcast is a frame of one event, sent by gossip.
type broadcast struct {
	about  mailbox.ID // whose Change it is; zero for other events, which nothing replaces
	line   uint64
	modseq mailbox.ModSeq
	frame  []byte
	sent   int
}

// broadcasts are the frames that memberlist takes into its packets. It asks for them in its loops, so nothing here waits.
type broadcasts struct {
	members func() int // of the cluster

	mu      sync.Mutex
	waiting []*broadcast // the least often sent first, of those the oldest
	dropped uint64
}

// put adds a broadcast. What it says of a mailbox replaces what older ones did, if that is as good: a hint does, and while there is a crowd
// everything does, because then only hints are put.
func (q *broadcasts) put(b *broadcast, replace bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if replace && !b.about.IsZero() {
		for _, w := range q.waiting {
			if w.about == b.about && w.line == b.line && w.modseq > b.modseq {
				return
			}
		}
		q.waiting = slices.DeleteFunc(q.waiting, func(w *broadcast) bool { return w.about == b.about && w.line == b.line })
	}
	if len(q.waiting) >= maxBroadcasts { // the one that was sent most often is missed least
		q.waiting = q.waiting[:len(q.waiting)-1]
		q.dropped++
	}
	at := len(q.waiting)
	for at > 0 && q.waiting[at-1].sent > b.sent {
		at--
	}
	q.waiting = slices.Insert(q.waiting, at, b)
}

// crowded says whether Changes should be told as hints.
func (q *broadcasts) crowded() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) >= crowd
}

// take returns frames for one packet: each takes overhead bytes besides its own, all together at most limit.
func (q *broadcasts) take(overhead, limit int) (frames [][]byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return nil
	}
	most := retransmit * int(math.Ceil(math.Log10(float64(q.members()+1))))
	n := 0
	for n < len(q.waiting) && overhead+len(q.waiting[n].frame) <= limit {
		limit -= overhead + len(q.waiting[n].frame)
		frames = append(frames, q.waiting[n].frame)
		q.waiting[n].sent++
		n++
	}
	taken := slices.DeleteFunc(slices.Clone(q.waiting[:n]), func(b *broadcast) bool { return b.sent >= most })
	q.waiting = append(q.waiting[n:len(q.waiting):len(q.waiting)], taken...)
	slices.SortStableFunc(q.waiting, func(a, b *broadcast) int { return a.sent - b.sent })
	return frames
}

// figures returns how many broadcasts wait and how many were dropped.
func (q *broadcasts) figures() (waiting int, dropped uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting), q.dropped
}

// newBroadcast makes a broadcast of an event, or nil if it is too large: then it comes by the feed.
func newBroadcast(origin, number uint64, e *mailbox.Event, hint bool) (b *broadcast, replace bool) {
	for _, short := range []bool{hint, true} {
		if short && e.Change == nil {
			short = false
		}
		told := *e
		if short {
			told.Change = &mailbox.Change{Mailbox: e.Mailbox, Account: e.Account, Line: e.Change.Line, ModSeq: e.Change.ModSeq, Truncated: true}
		}
		written, err := codec.MessagePack.AppendEvent(nil, &told)
		if err != nil {
			continue
		}
		frame := codec.MessagePack.AppendFrame(nil, origin, number, [][]byte{written})
		if len(frame) <= maxBroadcast {
			return asBroadcast(&told, frame), short
		}
	}
	return nil, false
}

func asBroadcast(e *mailbox.Event, frame []byte) *broadcast {
	b := &broadcast{frame: frame}
	if e.Change != nil {
		b.about, b.line, b.modseq = e.Mailbox, e.Change.Line, e.Change.ModSeq
	}
	return b
}
