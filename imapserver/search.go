package imapserver

import (
	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/wire"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

func (c *conn) search() error    { return c.searchMessages(false) }
func (c *conn) uidSearch() error { return c.searchMessages(true) }

// searchMessages is SEARCH and UID SEARCH (RFC 9051 §6.4.4, RFC 5182).
func (c *conn) searchMessages(byUID bool) error {
	args, err := c.dec.Search()
	save := args.Extended && args.Return.ReturnSave
	var found found
	if err == nil {
		err = c.offers(mailstore.ModSeqs, args.ModSeq)
	}
	if err == nil {
		if args.ModSeq {
			c.useCondStore()
		}
		found, err = c.find(args.Key)
	}
	if err != nil {
		if st := statusFor(err); save && st != nil && st.kind == imap.StatusResponseTypeNo {
			c.session.saved = nil // RFC 5182 §2.1
		}
		return err
	}
	if save {
		c.session.saved = found.toSave(&args.Return)
	}
	return c.writeFound(&args, found, byUID)
}

// found is the outcome of a search.
type found struct {
	uids []imap.UID // ascending
	// The mod-sequences of the first, the last and the most recently changed of them.
	first, last, highest mailbox.ModSeq
}

// find evaluates a search over the messages that the client knows and that are still
// there: first by what is at hand, then, for what is left, from the store or by its Searcher.
func (c *conn) find(key wire.SearchAnd) (found, error) {
	s := &search{conn: c, searcher: c.traits.Searcher}
	quick, slow, err := s.compile(key)
	if err != nil {
		return found{}, err
	}
	candidates := allUIDs
	for _, m := range quick {
		if set, ok := m.(inSet); ok {
			candidates = intersect(candidates, imap.UIDSet(set))
		}
	}
	var result found
	var remain imap.UIDSet // for the Searcher, all at once
	for chunk := range chunks(c.session.view.ResolveUIDs(candidates).UIDs, pageSize) {
		if c.srv.closing.Err() != nil {
			return found{}, errClosing
		}
		rows, err := c.session.view.Flags(c.srv.commands, chunk, c.rows[:0])
		c.rows = rows
		if err != nil {
			return found{}, err
		}
		var left imap.UIDSet
		for i := range rows {
			ok, err := quick.match(&candidate{search: s, FlagRow: &rows[i]})
			if err != nil {
				return found{}, err
			}
			switch {
			case ok && slow == nil:
				result.add(rows[i].UID, rows[i].ModSeq)
			case ok:
				left.AddNum(rows[i].UID)
			}
		}
		switch {
		case len(left) == 0:
		case s.searcher != nil:
			remain.AddSet(left)
		default:
			if err := c.findStored(s, slow, left, &result); err != nil {
				return found{}, err
			}
		}
	}
	if len(remain) > 0 {
		if err := c.findAsked(s, slow, remain, &result); err != nil {
			return found{}, err
		}
	}
	return result, nil
}

// findStored evaluates what needs more than flags.
func (c *conn) findStored(s *search, slow matcher, uids imap.UIDSet, result *found) error {
	return c.eachRow(uids, s.fields|mailstore.FieldFlags, func(row *mailstore.Row) error {
		m := candidate{search: s, row: row}
		defer m.close()
		ok, err := slow.match(&m)
		switch mailbox.KindOf(err) {
		case mailbox.Expunged:
			return nil
		case mailbox.Corrupt, mailbox.Unavailable:
			// A message that cannot be read does not match; the others are found.
			c.log(c.srv.opts.Log.Error()).Err(err).Str("mailbox", c.session.name).Uint32("uid", uint32(row.UID)).Msg("message cannot be searched")
			return nil
		}
		if ok {
			result.add(row.UID, row.ModSeq)
		}
		return err
	})
}

func (f *found) add(uid imap.UID, m mailbox.ModSeq) {
	if len(f.uids) == 0 {
		f.first = m
	}
	f.uids = append(f.uids, uid)
	f.last, f.highest = m, max(f.highest, m)
}

// extremesOnly reports whether only MIN and MAX are asked for.
func extremesOnly(o *imap.SearchOptions) bool {
	return (o.ReturnMin || o.ReturnMax) && !o.ReturnAll && !o.ReturnCount
}

// modSeq returns the mod-sequence that goes with what is returned (RFC 7162 §3.1.10).
func (f *found) modSeq(o *imap.SearchOptions) (m mailbox.ModSeq) {
	if !extremesOnly(o) {
		return f.highest
	}
	if o.ReturnMin {
		m = f.first
	}
	if o.ReturnMax {
		m = max(m, f.last)
	}
	return m
}

// toSave returns what "$" is set to (RFC 5182 §2.4): what MIN and MAX tell if nothing
// else is asked for, otherwise all.
func (f *found) toSave(o *imap.SearchOptions) imap.UIDSet {
	var set imap.UIDSet
	switch {
	case len(f.uids) == 0:
	case extremesOnly(o):
		if o.ReturnMin {
			set.AddNum(f.uids[0])
		}
		if o.ReturnMax {
			set.AddNum(f.uids[len(f.uids)-1])
		}
	default:
		set.AddNum(f.uids...)
	}
	return set
}

// writeFound writes the SEARCH or ESEARCH response.
func (c *conn) writeFound(args *wire.Search, f found, byUID bool) error {
	nums := make([]uint32, 0, len(f.uids))
	if byUID {
		for _, uid := range f.uids {
			nums = append(nums, uint32(uid))
		}
	} else {
		nums = c.session.view.Numbers(f.uids, nums)
	}
	var modSeq uint64
	if args.ModSeq {
		modSeq = uint64(f.modSeq(&args.Return))
	}
	if !args.Extended && c.enabled&rev2 == 0 {
		c.enc.SearchBegin()
		for _, n := range nums {
			c.enc.SearchNum(n)
			if err := c.flushFull(); err != nil {
				return err
			}
		}
		c.enc.SearchEnd(modSeq)
		return nil
	}
	o := args.Return
	if !args.Extended {
		o = imap.SearchOptions{ReturnAll: true} // RFC 9051 §6.4.4
	}
	if o == (imap.SearchOptions{ReturnSave: true}) {
		return nil // nothing is to be told
	}
	data := imap.SearchData{Count: uint32(len(nums)), ModSeq: modSeq}
	if len(nums) > 0 {
		data.Min, data.Max = nums[0], nums[len(nums)-1]
		data.All = numSet(nums, byUID)
	}
	c.enc.ESearch(c.tag, byUID, &o, &data)
	return nil
}

// numSet makes a set of ascending numbers.
func numSet(nums []uint32, byUID bool) imap.NumSet {
	var set imap.SeqSet
	for _, n := range nums {
		if k := len(set) - 1; k >= 0 && set[k].Stop+1 == n {
			set[k].Stop = n
		} else {
			set = append(set, imap.SeqRange{Start: n, Stop: n})
		}
	}
	if !byUID {
		return set
	}
	uids := make(imap.UIDSet, len(set))
	for i, r := range set {
		uids[i] = imap.UIDRange{Start: imap.UID(r.Start), Stop: imap.UID(r.Stop)}
	}
	return uids
}
