package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/feedcodec"
)

// errNeedsLock says that a request asked for what only a transaction that
// holds its locks can know.
var errNeedsLock = errors.New("the guess does not suffice")

// A tx is a transaction that serves a group of requests. It is used by one
// goroutine.
//
// A guess is a tx on a mailbox as it was last known: it reads nothing, and is
// sent as a whole, on the condition that the mailbox is still so. Any other begins by locking; but no
// statement is sent before something must be read.
type tx struct {
	s     *Store
	ctx   context.Context
	c     *pgx.Conn
	guess bool
	now   time.Time
	line  uint64

	boxes []*box          // locked, or as known
	acct  *account        // locked; nil in a guess
	add   usage           // what is added to the account in a guess
	queue []stmt          // to be sent
	sent  int             // how many were sent
	told  []mailbox.Event // all events, for the feed
	xid   string          // once it is known
}

// A usage is what a transaction adds to an account.
type usage struct {
	account int64
	mailbox.QuotaUsage
}

// begin queues what locks. Boxes are locked in the order of their ids, then the
// account of the first, if its usage changes.
func (t *tx) begin(group []*request) {
	t.exec(`begin`)
	ids := make([][]byte, 0, 2)
	charges := false
	for _, r := range group {
		charges = charges || r.charges
	}
	for _, id := range group[0].boxes { // a group of several is of one mailbox
		ids = append(ids, id[:])
	}
	if len(ids) > 0 {
		t.read(boxQuery+`WHERE m.id = ANY($1) ORDER BY m.id FOR UPDATE OF m`, func(r pgx.Rows) error {
			b := new(box)
			t.boxes = append(t.boxes, b)
			return b.scan(r)
		}, ids)
		if charges {
			t.read(accountQuery+`WHERE account = (SELECT account FROM mailboxes WHERE id = $1) FOR UPDATE`, t.scanAccount, ids[0])
		}
	}
	t.read(`SELECT pg_current_xact_id()::text`, t.scanXID)
}

func (t *tx) scanXID(r pgx.Rows) error { return r.Scan(&t.xid) }

// exec queues a statement that changes something.
func (t *tx) exec(sql string, args ...any) { t.queue = append(t.queue, stmt{sql: sql, args: args}) }

// read queues a statement that reads.
func (t *tx) read(sql string, scan func(pgx.Rows) error, args ...any) {
	t.queue = append(t.queue, stmt{sql, args, scan})
}

// flush sends what is queued.
func (t *tx) flush() error {
	if t.guess {
		return errNeedsLock
	}
	if len(t.queue) == 0 {
		return nil
	}
	t.sent += len(t.queue)
	list := t.queue
	t.queue = nil
	return send(t.ctx, t.c, list, false)
}

// rows reads, after all that is queued.
func (t *tx) rows(sql string, scan func(pgx.Rows) error, args ...any) error {
	t.read(sql, scan, args...)
	return t.flush()
}

// box returns a locked mailbox.
func (t *tx) box(op string, id mailbox.ID) (*box, error) {
	if !t.guess && t.sent == 0 {
		if err := t.flush(); err != nil {
			return nil, err
		}
	}
	for _, b := range t.boxes {
		if b.ID == id {
			return b, nil
		}
	}
	return nil, refuse(mailbox.NonExistent, op, "no such mailbox")
}

// emit adds an event to the feed and to what is published after the commit.
func (t *tx) emit(e mailbox.Event) { t.told = append(t.told, e) }

// A mark is a moment of a tx to which it can go back, as long as what was sent
// since has only read.
type mark struct {
	boxes        []box
	acct         account
	add          usage
	queued, told int
}

func (t *tx) mark() mark {
	m := mark{add: t.add, queued: t.sent + len(t.queue), told: len(t.told)}
	for _, b := range t.boxes {
		m.boxes = append(m.boxes, *b)
	}
	if t.acct != nil {
		m.acct = *t.acct
	}
	return m
}

func (t *tx) back(m mark) {
	for i, b := range t.boxes {
		if i < len(m.boxes) {
			*b = m.boxes[i]
		} else { // it has been read since
			b.reset()
		}
	}
	if t.acct != nil {
		t.acct.add = m.acct.add
	}
	t.add, t.told = m.add, t.told[:m.told]
	t.queue = t.queue[:max(0, min(len(t.queue), m.queued-t.sent))]
}

// last returns the statements that end the transaction: the rows of mailboxes
// and of the account, then what is queued, then the feed.
func (t *tx) last() (list []stmt) {
	for _, b := range t.boxes {
		if b.changed() {
			list = append(list, t.save(b))
		}
	}
	if t.guess && t.add != (usage{}) {
		list = append(list, t.chargeGuessed())
	}
	if t.acct != nil && t.acct.add != (mailbox.QuotaUsage{}) {
		list = append(list, stmt{sql: `UPDATE accounts SET storage = storage + $2, messages = messages + $3 WHERE account = $1`,
			args: []any{t.acct.num, t.acct.add.Storage, t.acct.add.Messages}})
	}
	list = append(list, t.queue...)
	if len(t.told) > 0 {
		events := make([][]byte, len(t.told))
		for i, e := range t.told {
			events[i] = feedcodec.Encode(e)
		}
		// Rows are numbered in the order of the sort.
		list = append(list, stmt{sql: `INSERT INTO feed (event) SELECT e FROM unnest($1::bytea[]) WITH ORDINALITY AS u(e, n) ORDER BY n`, args: []any{events}})
	}
	if !t.guess {
		list = append(list, stmt{sql: `commit`})
	}
	return list
}
