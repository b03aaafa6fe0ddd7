package postgres

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/feedcodec"
	"github.com/starling-mail/starling/mailstore/rules"
)

var _ mailstore.Checker = (*Store)(nil)

const opCheck = "check store"

const (
	// checkStep is how many rows a check reads at a time.
	checkStep = 500
	// checkTimeout bounds one of its statements: those that look at a whole mailbox
	// or account take longer than what mail waits for.
	checkTimeout = 10 * time.Minute
)

// A checker is one run of Check.
type checker struct {
	s      *Store
	ctx    context.Context
	deep   bool
	report func(mailstore.Finding)
	fed    map[mailbox.ID]mailbox.ModSeq // the last of each mailbox that the feed tells of
}

// Check implements mailstore.Checker. It only reads, on one connection, each
// mailbox and each account in a snapshot of its own; so it may run while all nodes serve, and what is being changed is
// seen before or after. Nothing is mended: of counts RecountQuota mends the usage.
func (s *Store) Check(ctx context.Context, o mailstore.CheckOptions, report func(mailstore.Finding)) error {
	if o.Repair {
		return refuse(mailbox.Cannot, opCheck, "a store in PostgreSQL is only looked at; imapd quota recount mends the usage")
	}
	c := &checker{s: s, ctx: ctx, deep: o.Deep, report: report, fed: make(map[mailbox.ID]mailbox.ModSeq)}
	for _, step := range []func() error{c.feed, c.names, c.mailboxes, c.leftovers, c.accounts, c.sizes, c.contents, c.blobs} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) found(lost bool, format string, args ...any) {
	c.report(mailstore.Finding{What: fmt.Sprintf(format, args...), Lost: lost})
}

// read runs statements on one snapshot.
func (c *checker) read(list ...stmt) error {
	limit := stmt{sql: `SET LOCAL statement_timeout = ` + strconv.FormatInt(checkTimeout.Milliseconds(), 10)}
	ctx, cancel := context.WithTimeout(c.ctx, checkTimeout)
	defer cancel()
	return c.s.readAll(ctx, opCheck, append([]stmt{limit}, list...))
}

// feed reads the whole feed as every node does: each mailbox's Changes must
// follow each other.
func (c *checker) feed() error {
	end, err := c.s.FeedEnd(c.ctx)
	if err != nil {
		return err
	}
	at, ok := parsePlace(end)
	if !ok {
		return corrupt(opCheck, fmt.Errorf("the feed ends at %q", end))
	}
	if err := c.read(stmt{sql: `SELECT feed_floor::text FROM store`, scan: func(r pgx.Rows) error {
		var floor string
		if err := r.Scan(&floor); err != nil {
			return err
		}
		n, err := strconv.ParseUint(floor, 10, 63)
		at.seen = view{xmax: n + 1}
		return err
	}}); err != nil {
		return err
	}
	for cursor := at.cursor(); ; {
		events, next, err := c.s.ReadFeed(c.ctx, cursor, checkStep)
		switch kind := mailbox.KindOf(err); {
		case kind == mailbox.Corrupt:
			c.found(false, "the feed cannot be read: %v", err)
			return nil
		case kind == mailbox.NonExistent: // trimmed meanwhile
			return nil
		case err != nil:
			return err
		}
		for _, e := range events {
			if e.Change != nil {
				c.follows(e.Change)
			}
		}
		if next == cursor {
			return nil
		}
		cursor = next
	}
}

// follows notes a Change of the feed, which must follow the one before it. An account that was on another shard for a
// time has told the rest there.
func (c *checker) follows(ch *mailbox.Change) {
	last := c.fed[ch.Mailbox]
	away := c.s.o.Shard != "" && ch.Prev > last
	if last != 0 && ch.Prev != last && !away || ch.ModSeq <= ch.Prev {
		c.found(false, "the feed: after modseq %d of mailbox %s comes a change from %d to %d", last, ch.Mailbox, ch.Prev, ch.ModSeq)
	}
	c.fed[ch.Mailbox] = ch.ModSeq
}

// mailboxes compares each mailbox's figures with its messages and its expunge
// log.
func (c *checker) mailboxes() error {
	var acct, num int64
	for {
		var ids []mailbox.ID
		if err := c.read(stmt{sql: `SELECT account, box, id FROM mailboxes WHERE (account, box) > ($1, $2) ORDER BY account, box LIMIT $3`,
			args: []any{acct, num, checkStep}, scan: func(r pgx.Rows) error {
				var b []byte
				err := r.Scan(&acct, &num, &b)
				var id mailbox.ID
				copy(id[:], b)
				ids = append(ids, id)
				return err
			}}); err != nil {
			return err
		}
		for _, id := range ids {
			if err := c.mailbox(id); err != nil {
				return err
			}
		}
		if len(ids) < checkStep {
			return nil
		}
	}
}

// mailbox looks at one mailbox, all of it at one moment.
func (c *checker) mailbox(id mailbox.ID) error {
	var b box
	var is mailbox.Counts
	var highest, modseq, created int64
	live := imap.UIDSet{}
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if err := c.read(
		stmt{sql: boxQuery + `WHERE m.id = $1`, args: []any{id[:]}, scan: func(r pgx.Rows) error { return b.scan(r) }},
		stmt{sql: `SELECT count(*), count(*) FILTER (WHERE flags & 1 = 0), count(*) FILTER (WHERE flags & 8 <> 0),
			coalesce(sum(size), 0)::bigint, coalesce(sum(size) FILTER (WHERE flags & 8 <> 0), 0)::bigint,
			coalesce(max(uid), 0), coalesce(max(modseq), 0), coalesce(max(created), 0) FROM messages WHERE ` + inBox, args: []any{id[:]}, scan: func(r pgx.Rows) error {
			var messages, unseen, deleted int64
			err := r.Scan(&messages, &unseen, &deleted, &is.Size, &is.DeletedSize, &highest, &modseq, &created)
			is.Messages, is.Unseen, is.Deleted = uint32(messages), uint32(unseen), uint32(deleted)
			return err
		}},
		stmt{sql: `SELECT uid FROM messages WHERE ` + inBox + ` ORDER BY uid`, args: []any{id[:]}, scan: func(r pgx.Rows) error {
			var uid int64
			err := r.Scan(&uid)
			rules.AddUID(&live, imap.UID(uid))
			return err
		}},
		stmt{sql: `SELECT e.modseq, e.uids FROM mailboxes b, expunged e WHERE b.id = $1 AND e.account = b.account AND e.box = b.box ORDER BY e.modseq`,
			args: []any{id[:]}, scan: func(r pgx.Rows) error {
				var at int64
				var set []byte
				if err := r.Scan(&at, &set); err != nil {
					return err
				}
				switch gone, err := feedcodec.DecodeUIDs(set); {
				case err != nil:
					fault("the expunge log at modseq %d cannot be read", at)
				case mailbox.ModSeq(at) > b.ModSeq:
					fault("the expunge log has modseq %d, the mailbox %d", at, b.ModSeq)
				case rules.Overlap(live, gone):
					fault("the expunge log at modseq %d names messages that are there", at)
				}
				return nil
			}},
	); err != nil {
		return err
	}
	if b.num == 0 { // deleted meanwhile
		return nil
	}
	is.UIDNext = b.Counts.UIDNext
	if is != b.Counts {
		fault("the counts are %+v, its messages make %+v", b.Counts, is)
	}
	if int64(b.Counts.UIDNext) <= highest {
		fault("UIDNEXT is %d, a message has %d", b.Counts.UIDNext, highest)
	}
	if int64(b.ModSeq) < max(modseq, created) {
		fault("HIGHESTMODSEQ is %d, a message has %d", b.ModSeq, max(modseq, created))
	}
	if b.floor > b.ModSeq {
		fault("its expunge log begins at modseq %d, beyond HIGHESTMODSEQ %d", b.floor, b.ModSeq)
	}
	if last := c.fed[id]; last > b.ModSeq {
		fault("HIGHESTMODSEQ is %d, the feed tells of %d", b.ModSeq, last)
	}
	for _, f := range faults {
		c.found(false, "mailbox %q of account %s: %s", b.Name, b.Account, f)
	}
	return nil
}
