package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/mailbox"
)

const opMove = "move account"

// A MoveToken tells one attempt to move an account from others. Whoever begins takes the account over from those before:
// what they still do to either side fails with kind InUse.
type MoveToken = mailbox.ID

// BeginDeparture says that an account is going to be moved to another shard. It reports whether it has left already, and then does nothing.
func (s *Store) BeginDeparture(ctx context.Context, account mailbox.AccountID, to string, token MoveToken) (gone bool, err error) {
	err = s.write(ctx, &request{op: opMove, run: func(t *tx) error {
		gone = false
		here := false
		// This waits for whoever is about to end a move.
		if err := t.rows(`SELECT gone FROM departures WHERE account = $1 FOR UPDATE`, func(r pgx.Rows) error { return r.Scan(&gone) }, account[:]); err != nil || gone {
			return err
		}
		if err := t.rows(`SELECT true FROM accounts WHERE id = $1`, func(r pgx.Rows) error { return r.Scan(&here) }, account[:]); err != nil {
			return err
		}
		if !here {
			return refuse(mailbox.NonExistent, opMove, "no such account")
		}
		t.exec(`INSERT INTO departures (account, token, shard) VALUES ($1, $2, $3)
			ON CONFLICT (account) DO UPDATE SET token = excluded.token, shard = excluded.shard`, account[:], token[:], to)
		return nil
	}})
	return gone, err
}

// Departed returns for which shard an account has left, or "" if it has not. That is known for as long as it does not come back: so a
// directory that is older than the move can be put right.
func (s *Store) Departed(ctx context.Context, account mailbox.AccountID) (to string, err error) {
	err = s.read(ctx, opMove, []stmt{{sql: `SELECT shard FROM departures WHERE account = $1 AND gone`, args: []any{account[:]}, scan: func(r pgx.Rows) error { return r.Scan(&to) }}})
	return to, err
}

// CancelDeparture takes back the BeginDeparture with that token, unless the account has left or somebody else has begun.
func (s *Store) CancelDeparture(ctx context.Context, account mailbox.AccountID, token MoveToken) error {
	return s.write(ctx, &request{op: opMove, run: func(t *tx) error {
		t.exec(`DELETE FROM departures WHERE account = $1 AND token = $2 AND NOT gone`, account[:], token[:])
		return nil
	}})
}

// Leaving is an account as it is read to be copied: all of it at one moment. It is valid until the function that got it returns.
type Leaving struct {
	s     *Store
	ctx   context.Context
	c     *pgx.Conn
	id    mailbox.AccountID
	acct  int64
	row   string // of accounts, as JSON
	owner string // of users, with all names in "names", as JSON
	boxes []leavingBox
	since uint32 // all that transactions from this one on did may be unseen
}

// A leavingBox is a mailbox of a Leaving.
type leavingBox struct {
	num, modseq, floor int64
	id                 []byte
	name               string
	size               int64
	row                string // as JSON
}

// Total returns how many bytes of messages the account has.
func (l *Leaving) Total() (bytes int64) {
	for _, b := range l.boxes {
		bytes += b.size
	}
	return bytes
}

func (l *Leaving) rows(sql string, scan func(pgx.Rows) error, args ...any) error {
	return send(l.ctx, l.c, []stmt{{sql: sql, args: args, scan: scan}}, false)
}

// load reads what there is one row of, and the mailboxes.
func (l *Leaving) load() error {
	var snapshot string
	if err := send(l.ctx, l.c, []stmt{
		{sql: `SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::numeric % 4294967296)::bigint::text`, scan: func(r pgx.Rows) error { return r.Scan(&snapshot) }},
		{sql: `SELECT a.account, to_jsonb(a)::text, coalesce((SELECT to_jsonb(u) || jsonb_build_object('names',
			ARRAY(SELECT n.name FROM names n WHERE n.username = u.name)) FROM users u WHERE u.account = a.account), '{}')::text FROM accounts a WHERE a.id = $1`,
			args: []any{l.id[:]}, scan: func(r pgx.Rows) error { return r.Scan(&l.acct, &l.row, &l.owner) }},
		{sql: `SELECT m.box, m.modseq, m.floor, m.id, m.name, m.size, to_jsonb(m)::text FROM mailboxes m WHERE m.account = (SELECT account FROM accounts WHERE id = $1) ORDER BY m.box`,
			args: []any{l.id[:]}, scan: func(r pgx.Rows) error {
				var b leavingBox
				err := r.Scan(&b.num, &b.modseq, &b.floor, &b.id, &b.name, &b.size, &b.row)
				l.boxes = append(l.boxes, b)
				return err
			}},
	}, false); err != nil {
		return err
	}
	if l.acct == 0 {
		return refuse(mailbox.NonExistent, opMove, "no such account")
	}
	_, err := fmt.Sscan(snapshot, &l.since)
	return err
}

// Survey calls f with an account as it is, while it is used and changed.
func (s *Store) Survey(ctx context.Context, account mailbox.AccountID, f func(*Leaving) error) error {
	err := s.session(ctx, func(c *pgx.Conn) error {
		l := &Leaving{s: s, ctx: ctx, c: c, id: account}
		if err := send(ctx, c, []stmt{
			{sql: `begin isolation level repeatable read read only`},
			{sql: `SET LOCAL statement_timeout = 0`}, {sql: `SET LOCAL idle_in_transaction_session_timeout = 0`},
		}, false); err != nil {
			return err
		}
		if err := l.load(); err != nil {
			return err
		}
		if err := f(l); err != nil {
			return err // the connection is closed, which ends the transaction
		}
		return send(ctx, c, []stmt{{sql: `commit`}}, false)
	})
	return failure(opMove, err)
}

// Depart locks an account, so that whoever writes to it has to wait, calls f with it, and if f returns nil has the account leave: from then
// on there is nothing of it here but rows to be cleared away. All this takes at most pause, or the account stays. Where the outcome cannot be learnt the kind is Unknown.
func (s *Store) Depart(ctx context.Context, account mailbox.AccountID, token MoveToken, pause time.Duration, f func(*Leaving) error) error {
	ctx, cancel := context.WithTimeout(ctx, pause)
	defer cancel()
	committing := false
	err := s.session(ctx, func(c *pgx.Conn) error {
		l := &Leaving{s: s, ctx: ctx, c: c, id: account}
		if err := l.lock(token, pause); err != nil {
			return err
		}
		if err := l.load(); err != nil {
			return err
		}
		if err := f(l); err != nil {
			return err
		}
		committing = true
		return send(ctx, c, l.leave(), false)
	})
	if committing && severed(err) {
		return s.departed(account, err)
	}
	return failure(opMove, err)
}

// lock locks all that writers of the account lock, in their order. If this process stops the server ends it: others do not wait longer than pause.
func (l *Leaving) lock(token MoveToken, pause time.Duration) error {
	ms := fmt.Sprint(max(1, pause.Milliseconds()))
	ours := false
	const boxes = `SELECT 1 FROM mailboxes WHERE account = (SELECT account FROM accounts WHERE id = $1) ORDER BY id FOR UPDATE`
	if err := send(l.ctx, l.c, []stmt{
		{sql: `begin`},
		{sql: `SELECT set_config('statement_timeout', $1, true), set_config('lock_timeout', $1, true), set_config('idle_in_transaction_session_timeout', $1, true)`, args: []any{ms}},
		{sql: `SELECT true FROM departures WHERE account = $1 AND token = $2 AND NOT gone FOR UPDATE`, args: []any{l.id[:], token[:]}, scan: func(r pgx.Rows) error { return r.Scan(&ours) }},
		{sql: `SELECT 1 FROM users WHERE account = (SELECT account FROM accounts WHERE id = $1) FOR UPDATE`, args: []any{l.id[:]}},
		{sql: boxes, args: []any{l.id[:]}},
		{sql: `SELECT 1 FROM accounts WHERE id = $1 FOR UPDATE`, args: []any{l.id[:]}},
		{sql: boxes, args: []any{l.id[:]}}, // with the account none can come
	}, false); err != nil {
		return err
	}
	if !ours {
		return refuse(mailbox.InUse, opMove, "another process moves the account")
	}
	return nil
}

// leave returns the statements that have the account leave. Its messages are cleared away later, with their blobs: it has others
// where it is now. There are no events: nothing has happened to the mail.
func (l *Leaving) leave() []stmt {
	list := []stmt{}
	for _, sql := range []string{
		`INSERT INTO dead_boxes (account, box) SELECT account, box FROM mailboxes WHERE account = $1`,
		`DELETE FROM mailboxes WHERE account = $1`,
		`DELETE FROM subscriptions WHERE account = $1`,
		`DELETE FROM names WHERE username IN (SELECT name FROM users WHERE account = $1)`,
		`DELETE FROM users WHERE account = $1`,
		`DELETE FROM accounts WHERE account = $1`,
		`INSERT INTO dead_accounts (account) VALUES ($1)`,
	} {
		list = append(list, stmt{sql: sql, args: []any{l.acct}})
	}
	return append(list, stmt{sql: `UPDATE departures SET gone = true WHERE account = $1`, args: []any{l.id[:]}}, stmt{sql: `commit`})
}

// departed finds out whether an account has left, after a COMMIT without an answer.
func (s *Store) departed(account mailbox.AccountID, cause error) error {
	ctx, cancel := context.WithTimeout(s.ctx, s.o.ResolveTimeout)
	defer cancel()
	for {
		gone := false
		err := s.write(ctx, &request{op: opMove, run: func(t *tx) error {
			// As long as the transaction is there it has the row locked.
			return t.rows(`SELECT gone FROM departures WHERE account = $1 FOR UPDATE`, func(r pgx.Rows) error { return r.Scan(&gone) }, account[:])
		}})
		switch {
		case err == nil && gone:
			return nil
		case err == nil:
			return unavailable(opMove, cause)
		case ctx.Err() != nil:
			return unknown(opMove, cause)
		}
		pause(ctx, askEvery)
	}
}
