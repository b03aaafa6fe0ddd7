package tracker

import (
	"context"
	"math"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// A FlagRow is one message's flags.
type FlagRow struct {
	Number uint32 // the client's sequence number
	UID    imap.UID
	ModSeq mailbox.ModSeq
	Flags  mailbox.Flags
}

const (
	loadRows  = 1024 // messages whose flags are read from the store at once, about
	loadSlack = 64   // messages that may come while they are read
	loadTries = 3    // reads of the same messages if the mailbox changes meanwhile
)

// Flags appends to dst the flags of those messages of uids that the client was told of and that are live, ascending. uids is
// static, ascending, and should not be for more than about 1,000 messages. The tracker has all that the rows are based on.
func (v *View) Flags(ctx context.Context, uids imap.UIDSet, dst []FlagRow) ([]FlagRow, error) {
	n := len(dst)
	dst, err := v.t.rows(ctx, clip(uids, v.told()), dst)
	if err != nil {
		return dst[:n], err
	}
	return v.number(dst, n), nil
}

// told returns the highest UID told.
func (v *View) told() imap.UID {
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	return v.numbers.Told()
}

// number fills in the sequence numbers of rows from n on, and drops those that are gone.
func (v *View) number(rows []FlagRow, n int) []FlagRow {
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	return v.numberLocked(rows, n)
}

func (v *View) numberLocked(rows []FlagRow, n int) []FlagRow {
	kept := rows[:n]
	for _, r := range rows[n:] {
		if !v.t.index.Contains(r.UID) {
			continue
		}
		if r.Number, _ = v.numbers.Number(&v.t.index, r.UID); r.Number > 0 {
			kept = append(kept, r)
		}
	}
	return kept
}

// clip returns the UIDs of an ascending set up to most.
func clip(set imap.UIDSet, most imap.UID) imap.UIDSet {
	for i, r := range set {
		if r.Stop <= most {
			continue
		}
		clipped := append(imap.UIDSet(nil), set[:i]...)
		if r.Start <= most {
			clipped = append(clipped, imap.UIDRange{Start: r.Start, Stop: most})
		}
		return clipped
	}
	return set
}

// rows appends to dst the flags of the live ones of uids, from the cache or from the store, without numbers.
func (t *tracker) rows(ctx context.Context, uids imap.UIDSet, dst []FlagRow) ([]FlagRow, error) {
	var page mailstore.Page
	loaded := false
	defer func() {
		if loaded {
			idle, cache, _ := t.weight()
			t.set.weigh(t, idle, cache)
		}
	}()
	from := imap.UID(1) // UIDs below are done
	for tries := 1; ; tries++ {
		t.mu.Lock()
		if t.gone != nil {
			err := t.gone
			t.mu.Unlock()
			return dst, err
		}
		before := from
		var missing bool
		if dst, from, missing = t.cached(uids, from, dst); !missing {
			t.mu.Unlock()
			return dst, nil
		}
		if from > before {
			tries = 1
		}
		load, n := t.toLoad(uids, from)
		line := t.line
		t.mu.Unlock()

		if err := t.set.Store.Page(ctx, t.box, load, mailstore.FieldFlags, n, &page); err != nil {
			return dst, err
		}
		if err := t.ready(ctx, line, page.ModSeq); err != nil {
			return dst, err
		}
		loaded = t.store(load, &page) || loaded
		if tries < loadTries {
			continue
		}
		// The mailbox changes too quickly to cache it. What was read is as good: later values are told by Flush.
		last := load[len(load)-1].Stop
		for _, r := range page.Rows {
			if r.UID >= from && uids.Contains(r.UID) {
				dst = append(dst, FlagRow{UID: r.UID, ModSeq: r.ModSeq, Flags: r.Flags})
			}
			if page.More {
				last = r.UID
			}
		}
		if from = last + 1; from == 0 {
			return dst, nil
		}
	}
}

// cached appends what the cache has of uids, to the first UID it does not have, which it returns.
func (t *tracker) cached(uids imap.UIDSet, from imap.UID, dst []FlagRow) (_ []FlagRow, next imap.UID, missing bool) {
	var rows []cachedFlags
	block, ok := ^uint32(0), false
	for _, r := range uids {
		for uid := range t.index.Range(max(r.Start, from), r.Stop) {
			if b := uint32(uid) >> blockShift; b != block {
				block = b
				rows, ok = t.cache.block(b)
			}
			if !ok {
				return dst, uid, true
			}
			if i, has := find(rows, uid); has {
				dst = append(dst, FlagRow{UID: uid, ModSeq: rows[i].modseq, Flags: t.cache.sets[rows[i].set]})
			}
		}
	}
	return dst, from, false
}

// toLoad returns the blocks that uids needs and the cache does not have, from the block of from on, and how many messages to ask
// for. They are whole blocks, so that what comes into them meanwhile is read too.
func (t *tracker) toLoad(uids imap.UIDSet, from imap.UID) (load imap.UIDSet, n int) {
	for _, r := range uids {
		if len(load) > 0 {
			from = load[len(load)-1].Stop + 1
		}
		for start := max(r.Start, from); n < loadRows; {
			// Blocks without live UIDs are passed over: a set may name millions of them.
			uid, ok := t.index.UID(t.index.Rank(start-1) + 1)
			if !ok || uid > r.Stop {
				break
			}
			lo, hi := span(uint32(uid) >> blockShift)
			if _, ok := t.cache.block(uint32(uid) >> blockShift); !ok {
				if k := len(load); k > 0 && load[k-1].Stop == lo-1 {
					load[k-1].Stop = hi
				} else {
					load = append(load, imap.UIDRange{Start: lo, Stop: hi})
				}
				n += int(t.index.Rank(hi) - t.index.Rank(lo-1))
			}
			if hi == math.MaxUint32 {
				break
			}
			start = hi + 1
		}
	}
	return load, n + loadSlack
}

// span returns the first and the last UID of a block.
func span(b uint32) (lo, hi imap.UID) {
	lo = imap.UID(b << blockShift)
	return max(lo, 1), lo | (1<<blockShift - 1)
}

// store puts what was read of the blocks load into the cache, if that is still how the mailbox is.
func (t *tracker) store(load imap.UIDSet, page *mailstore.Page) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.modseq != page.ModSeq || page.More || t.gone != nil {
		return false
	}
	if t.cache == nil {
		t.cache = newFlagCache()
	}
	t.cache.room()
	rows := page.Rows
	for _, r := range load {
		for b := uint32(r.Start) >> blockShift; b <= uint32(r.Stop)>>blockShift; b++ {
			_, hi := span(b)
			n := 0
			for n < len(rows) && rows[n].UID <= hi {
				n++
			}
			if n == 0 {
				continue
			}
			block := make([]cachedFlags, n)
			for i, row := range rows[:n] {
				block[i] = cachedFlags{row.UID, t.cache.intern(row.Flags), row.ModSeq}
			}
			t.cache.put(b, block)
			rows = rows[n:]
		}
	}
	return true
}
