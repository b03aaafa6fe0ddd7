package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// A sum is what both sides must have alike.
type sum struct {
	count      int64
	hash, plus string
}

const (
	hashOf     = `SELECT count(*), coalesce(sum(('x' || substr(md5(concat_ws(' ', `
	hashEnd    = `)), 1, 16))::bit(64)::bigint), 0)::text, `
	messageSum = hashOf + `m.uid, m.modseq, m.created, m.size, m.received, m.saved, m.zone, m.flags, m.keywords, encode(m.thread, 'hex')`
	// The bytes of bodies are not read: only how many there are.
	bodySum = `, encode(b.email_id, 'hex'), b.encoding, octet_length(b.data), b.blob IS NULL, encode(b.preview, 'hex'), md5(b.structure)`

	wholeSum = messageSum + bodySum + hashEnd + `'' FROM messages m LEFT JOIN bodies b ON b.account = m.account AND b.body = m.body WHERE m.account = $1 AND m.box = $2 AND m.modseq > $3`
	// What has changed, and of the rest that it is as much as before: to hash all takes longer than writers should wait.
	changedSum = messageSum + hashEnd + `(SELECT concat_ws(' ', count(*), sum(uid), sum(modseq), sum(created), sum(size), sum(flags)) FROM messages WHERE account = $1 AND box = $2)
		FROM messages m WHERE m.account = $1 AND -m.box = -$2::bigint AND m.modseq > $3`
	expungeSum = hashOf + `modseq, encode(uids, 'hex')` + hashEnd + `'' FROM expunged WHERE account = $1 AND box = $2 AND modseq > $3`
	threadSum  = hashOf + `encode(key, 'hex'), encode(thread, 'hex')` + hashEnd + `'' FROM threads WHERE account = $1`
	// Threads only come.
	threadCount = `SELECT count(*), '', '' FROM threads WHERE account = $1`
)

func (s *sum) scan(r pgx.Rows) error { return r.Scan(&s.count, &s.hash, &s.plus) }

// errDiffers says that a copy is not what it was made of.
var errDiffers = errors.New("the copy differs")

// Verify compares what is here with what is there, after Copy and Seal. The first time all is compared, of bodies all but their bytes; then
// what has changed since. A mailbox that differs is copied again from its beginning, by the next Copy; then the kind is Corrupt.
func (a *Arrival) Verify(ctx context.Context, l *Leaving) error {
	var differing []error
	for i := range l.boxes {
		from := &l.boxes[i]
		to := a.boxes[from.num]
		if to.verified == from.modseq {
			continue
		}
		messages := wholeSum
		if to.verified > 0 {
			messages = changedSum
		}
		equal, err := a.compare(ctx, l, messages, []any{l.acct, from.num, to.verified}, []any{a.acct, to.box, to.verified})
		if err == nil && equal {
			since := max(to.verified, from.floor)
			equal, err = a.compare(ctx, l, expungeSum, []any{l.acct, from.num, since}, []any{a.acct, to.box, since})
		}
		if err != nil {
			return err
		}
		if !equal {
			if err := a.again(ctx, from, to); err != nil {
				return err
			}
			differing = append(differing, fmt.Errorf("mailbox %q: %w", from.name, errDiffers))
			continue
		}
		to.verified = from.modseq
	}
	threads := threadSum
	if a.threads {
		threads = threadCount
	}
	equal, err := a.compare(ctx, l, threads, []any{l.acct}, []any{a.acct})
	switch {
	case err != nil:
		return err
	case !equal:
		differing = append(differing, fmt.Errorf("threads: %w", errDiffers))
	}
	a.threads = equal
	if len(differing) > 0 {
		return corrupt(opMove, errors.Join(differing...))
	}
	return nil
}

// compare asks both sides for the same, at the same time.
func (a *Arrival) compare(ctx context.Context, l *Leaving, sql string, there, here []any) (equal bool, err error) {
	var is, was sum
	done := make(chan error, 1)
	go func() {
		done <- a.s.readAll(ctx, opMove, []stmt{{sql: `SET LOCAL statement_timeout = 0`}, {sql: sql, args: here, scan: is.scan}})
	}()
	err = l.rows(sql, was.scan, there...)
	return is == was, errors.Join(err, <-done)
}

// again has a mailbox copied from its beginning.
func (a *Arrival) again(ctx context.Context, from *leavingBox, to *arrivingBox) error {
	a.recount = true
	to.id, to.verified = nil, 0
	return a.write(ctx, func(t *tx) error {
		t.exec(`DELETE FROM messages WHERE account = $1 AND box = $2`, a.acct, to.box)
		t.exec(`DELETE FROM expunged WHERE account = $1 AND box = $2`, a.acct, to.box)
		t.exec(`UPDATE arriving_boxes SET id = NULL WHERE account = $1 AND source = $2`, a.acct, from.num)
		return nil
	})
}
