package imapserver

import (
	"encoding/hex"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/wire"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/message"
	"github.com/starling-mail/starling/tracker"
)

func (c *conn) fetch() error    { return c.fetchMessages(false) }
func (c *conn) uidFetch() error { return c.fetchMessages(true) }

// fetchMessages is FETCH and UID FETCH (RFC 9051 §6.4.5, RFC 7162 §3.1.4).
func (c *conn) fetchMessages(byUID bool) error {
	args, err := c.dec.Fetch(byUID)
	if err != nil {
		return err
	}
	if args.Vanished && c.enabled&qResync == 0 {
		return bad("enable QRESYNC first") // RFC 7162 §3.2.6
	}
	items := &args.Items
	if err := c.offersItems(items); err != nil {
		return err
	}
	items.UID = items.UID || byUID
	items.ModSeq = items.ModSeq || args.ChangedSince > 0
	if items.ModSeq {
		c.useCondStore()
	}
	which, err := c.resolve(args.Set, byUID)
	if err != nil {
		return err
	}
	uids, since := which.UIDs, mailbox.ModSeq(args.ChangedSince)
	if since > 0 {
		if uids, err = c.changedAmong(&args, uids); err != nil {
			return err
		}
	}
	f := fetcher{conn: c, items: items, since: since, fields: fieldsFor(items), unchanging: unchanging(items)}
	for chunk := range chunks(uids, pageSize) {
		if c.srv.closing.Err() != nil {
			return errClosing
		}
		switch {
		case f.unchanging == 0:
			err = f.cached(chunk)
		case c.traits.Relay != nil:
			err = f.relayed(chunk)
		default:
			err = f.stored(chunk)
		}
		if err != nil {
			return err
		}
	}
	if f.failed != nil {
		return f.failed
	}
	if f.missed && !byUID {
		return no("EXPUNGEISSUED", "some of the messages no longer exist")
	}
	return which.expunged()
}

// changedAmong returns those of uids that changed after args.ChangedSince, and tells
// what has vanished if the client asked.
func (c *conn) changedAmong(args *wire.Fetch, uids imap.UIDSet) (imap.UIDSet, error) {
	known := uids
	if set, ok := args.Set.(imap.UIDSet); ok && args.Vanished && !imap.IsSearchRes(set) {
		known = static(set)
	}
	changed, vanished, err := c.changesSince(mailbox.ModSeq(args.ChangedSince), known, 0)
	if err != nil {
		return nil, err
	}
	if args.Vanished && len(vanished) > 0 {
		c.enc.Vanished(true, vanished)
	}
	return intersect(uids, changed), nil
}

// fieldsFor says what has to be read to answer items.
func fieldsFor(items *wire.FetchItems) mailstore.Fields {
	f := mailstore.FieldFlags
	for _, need := range []struct {
		wanted bool
		fields mailstore.Fields
	}{
		{items.InternalDate, mailstore.FieldReceived},
		{items.Size, mailstore.FieldSize},
		{items.Envelope, mailstore.FieldEnvelope},
		{items.Body || items.BodyStructure || len(items.Sections) > 0, mailstore.FieldStructure},
		{items.EmailID || items.ThreadID, mailstore.FieldIDs},
		{items.SaveDate, mailstore.FieldSaved},
	} {
		if need.wanted {
			f |= need.fields
		}
	}
	return f
}

// maxFailures is after how many messages that cannot be had a FETCH ends.
const maxFailures = 16

// A fetcher carries out one FETCH.
type fetcher struct {
	*conn
	items  *wire.FetchItems
	since  mailbox.ModSeq
	fields mailstore.Fields
	// unchanging is how many items are asked for that never change.
	unchanging int
	missed     bool  // a message went while the command ran
	failed     error // why a message could not be fetched, nil if all could

	failures int
}

// cached answers from the flags that the tracker keeps: no store is asked.
func (f *fetcher) cached(uids imap.UIDSet) error {
	rows, err := f.session.view.Flags(f.srv.commands, uids, f.rows[:0])
	f.rows = rows
	if err != nil {
		return err
	}
	f.missed = f.missed || uint32(len(rows)) < count(uids)
	for i := range rows {
		r := &rows[i]
		if r.ModSeq <= f.since {
			continue
		}
		f.enc.FetchBegin(r.Number)
		if f.items.UID {
			f.enc.FetchUID(r.UID)
		}
		if f.items.Flags {
			f.writeFlagList(r.UID, r.Flags)
		}
		if f.items.ModSeq {
			f.enc.FetchModSeq(uint64(r.ModSeq))
		}
		f.enc.FetchEnd()
		if err := f.flushFull(); err != nil {
			return err
		}
	}
	return nil
}

// stored answers from one page of the store.
func (f *fetcher) stored(uids imap.UIDSet) error {
	own, seen := f.markSeen(uids)
	left, untold := count(uids), false
	err := f.eachRow(uids, f.fields, func(r *mailstore.Row) error {
		left--
		n, told := f.session.view.Number(r.UID)
		if !told || r.ModSeq <= f.since {
			return nil
		}
		err := f.message(n, r, seen.Contains(r.UID))
		untold = untold || err != nil
		switch {
		case err == nil:
			return f.flushFull()
		case mailbox.KindOf(err) == mailbox.Expunged:
			f.missed = true
		case isFatal(err):
			return err
		default:
			// One message that cannot be had does not keep the others from the client.
			f.log(f.srv.opts.Log.Error()).Err(err).Str("mailbox", f.session.name).Uint32("uid", uint32(r.UID)).Msg("message cannot be fetched")
			f.failed = err
			if f.failures++; f.failures >= maxFailures {
				return err
			}
		}
		return nil
	})
	f.missed = f.missed || left > 0
	if err != nil || untold {
		f.session.view.Disown(own) // so that \Seen is told of all
	}
	return err
}

// markSeen sets \Seen on the messages whose content is about to be fetched without
// PEEK, and returns the ModSeq of that and those that did not have it. It is a courtesy: a full disk must
// not keep anybody from reading.
func (f *fetcher) markSeen(uids imap.UIDSet) (own mailbox.ModSeq, seen imap.UIDSet) {
	if f.session.readOnly || !f.reads() {
		return 0, nil
	}
	done, err := f.srv.opts.Store.UpdateFlags(f.srv.commands, f.session.box, uids,
		mailstore.FlagUpdate{Op: imap.StoreFlagsAdd, Flags: mailbox.Flags{System: mailbox.Seen}})
	if err != nil {
		f.log(f.srv.opts.Log.Warn()).Err(err).Msg("messages could not be marked as seen")
		return 0, nil
	}
	if done.Change == nil {
		return 0, nil
	}
	f.session.own(done.Change, uids) // told with what was fetched
	return done.Change.ModSeq, changedBy(done.Change)
}

// reads reports whether a section is fetched without PEEK.
func (f *fetcher) reads() bool {
	for i := range f.items.Sections {
		if !f.items.Sections[i].Peek {
			return true
		}
	}
	return false
}

// message writes the response for message n. Nothing is written if it fails, unless the
// error is fatal.
func (f *fetcher) message(n uint32, r *mailstore.Row, nowSeen bool) error {
	items, enc := f.items, &f.enc
	var m *message.Message
	if f.fields&mailstore.FieldStructure != 0 {
		var err error
		if m, err = message.Decode(r.Structure); err != nil {
			return &mailbox.Error{Kind: mailbox.Corrupt, Op: "fetch", Err: err}
		}
	}
	sections, err := f.sections(r.UID, m)
	if err != nil {
		return err
	}
	if sections != nil {
		defer sections.Close()
	}
	f.begin(&tracker.FlagRow{Number: n, UID: r.UID, Flags: r.Flags, ModSeq: r.ModSeq}, nowSeen)
	if items.InternalDate {
		enc.FetchInternalDate(r.Received)
	}
	if items.Size {
		enc.FetchSize(r.Size)
	}
	if items.Envelope {
		enc.FetchItem("ENVELOPE")
		enc.Buf = append(enc.Buf, r.Envelope...)
	}
	if items.Body {
		enc.FetchItem("BODY")
		enc.Buf = m.AppendBodyStructure(enc.Buf, false)
	}
	if items.BodyStructure {
		enc.FetchItem("BODYSTRUCTURE")
		enc.Buf = m.AppendBodyStructure(enc.Buf, true)
	}
	if items.EmailID {
		enc.FetchItem("EMAILID")
		enc.Raw("(M" + hex.EncodeToString(r.EmailID[:]) + ")")
	}
	if items.ThreadID {
		enc.FetchItem("THREADID")
		enc.Raw("(T" + hex.EncodeToString(r.ThreadID[:]) + ")")
	}
	if items.SaveDate {
		enc.FetchItem("SAVEDATE")
		enc.DateTime(r.Saved)
	}
	if sections != nil {
		if err := sections.write(); err != nil {
			return err
		}
	}
	enc.FetchEnd()
	return nil
}

// begin begins the response for a message with what may change of it. nowSeen says that the command has
// set \Seen, which is told without being asked for.
func (f *fetcher) begin(r *tracker.FlagRow, nowSeen bool) {
	f.enc.FetchBegin(r.Number)
	if f.items.UID || nowSeen && f.tellsUID() {
		f.enc.FetchUID(r.UID)
	}
	if f.items.Flags || nowSeen {
		f.writeFlagList(r.UID, r.Flags)
	}
	if f.items.ModSeq || nowSeen && f.enabled&condStore != 0 {
		f.enc.FetchModSeq(uint64(r.ModSeq))
	}
}

// count returns how many UIDs are in a static set.
func count(set imap.UIDSet) (n uint32) {
	for _, r := range set {
		n += uint32(r.Stop-r.Start) + 1
	}
	return n
}
