package postgres

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/mailbox"
)

// The ids of what is arriving end with a byte more than others, and the names of its mailboxes begin with what no
// name does: so nobody finds them.
const (
	maskID   = "\x00"
	maskName = "\x01"
)

// An Arrival is an account that is being copied to this database. It is for one goroutine.
type Arrival struct {
	s     *Store
	id    mailbox.AccountID
	token MoveToken
	acct  int64 // accounts.account
	boxes map[int64]*arrivingBox

	threads bool           // have been compared
	since   *uint32        // threads of transactions before this one are here; nil: nobody knows
	recount bool           // the owners of all bodies must be counted
	touched map[int64]bool // bodies of which they must be
}

// An arrivingBox is a row of arriving_boxes.
type arrivingBox struct {
	box                 int64
	id                  []byte // nil: gone
	modseq, uid, logged int64
	verified            int64 // all up to this modseq has been compared; 0: nothing has
}

// BeginArrival makes ready for an account from another shard, or goes on where an attempt before ended.
func (s *Store) BeginArrival(ctx context.Context, account mailbox.AccountID, from string, token MoveToken) (*Arrival, error) {
	var a *Arrival
	err := s.write(ctx, &request{op: opMove, run: func(t *tx) error {
		a = &Arrival{s: s, id: account, token: token, boxes: make(map[int64]*arrivingBox), recount: true, touched: make(map[int64]bool)}
		var shard string
		if err := t.rows(`SELECT account, shard FROM arrivals WHERE id = $1 FOR UPDATE`, func(r pgx.Rows) error { return r.Scan(&a.acct, &shard) }, account[:]); err != nil {
			return err
		}
		if a.acct != 0 && shard != from { // the account is not there any more, so what has come of it is nothing
			t.drop(a.acct)
			a.acct = 0
		}
		if a.acct != 0 {
			t.exec(`UPDATE arrivals SET token = $2 WHERE id = $1`, account[:], token[:])
			return t.rows(`SELECT source, box, id, modseq, uid, logged FROM arriving_boxes WHERE account = $1`, func(r pgx.Rows) error {
				var source int64
				b := new(arrivingBox)
				err := r.Scan(&source, &b.box, &b.id, &b.modseq, &b.uid, &b.logged)
				a.boxes[source] = b
				return err
			}, a.acct)
		}
		here := false
		if err := t.rows(`SELECT true FROM accounts WHERE id = $1`, func(r pgx.Rows) error { return r.Scan(&here) }, account[:]); err != nil {
			return err
		}
		if here {
			return refuse(mailbox.AlreadyExists, opMove, "the account is here")
		}
		if err := t.rows(`INSERT INTO accounts (id) VALUES ($1) RETURNING account`, func(r pgx.Rows) error { return r.Scan(&a.acct) }, append(account[:], maskID...)); err != nil {
			return err
		}
		t.exec(`INSERT INTO arrivals (account, id, token, shard) VALUES ($1, $2, $3, $4)`, a.acct, account[:], token[:], from)
		return nil
	}})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// write changes what has arrived, as long as nobody else has taken it over.
func (a *Arrival) write(ctx context.Context, f func(*tx) error) error {
	return a.s.write(ctx, &request{op: opMove, run: func(t *tx) error {
		ours := false
		if err := t.rows(`SELECT token = $2 FROM arrivals WHERE id = $1 FOR UPDATE`, func(r pgx.Rows) error { return r.Scan(&ours) }, a.id[:], a.token[:]); err != nil {
			return err
		}
		if !ours {
			return refuse(mailbox.InUse, opMove, "another process moves the account")
		}
		return f(t)
	}})
}

// ArrivalToken returns the token of who has an account come here, or zero if nobody has.
func (s *Store) ArrivalToken(ctx context.Context, account mailbox.AccountID) (token MoveToken, err error) {
	err = s.read(ctx, opMove, []stmt{{sql: `SELECT token FROM arrivals WHERE id = $1`, args: []any{account[:]}, scan: func(r pgx.Rows) error {
		var b []byte
		err := r.Scan(&b)
		copy(token[:], b)
		return err
	}}})
	return token, err
}

// DropArrival gives up what has come of an account with that token, which must have been taken from its departure before: or else the account may have
// left for what is dropped. What there is is cleared away later. Kind InUse where somebody else has begun.
func (s *Store) DropArrival(ctx context.Context, account mailbox.AccountID, token MoveToken) error {
	return s.write(ctx, &request{op: opMove, run: func(t *tx) error {
		var acct int64
		dead := false
		if err := t.rows(`SELECT account, token = $2 FROM arrivals WHERE id = $1 FOR UPDATE`, func(r pgx.Rows) error { return r.Scan(&acct, &dead) }, account[:], token[:]); err != nil || acct == 0 {
			return err
		}
		if !dead {
			return refuse(mailbox.InUse, opMove, "another process moves the account")
		}
		t.drop(acct)
		return nil
	}})
}

// drop removes an arrival.
func (t *tx) drop(acct int64) {
	t.own(acct)
	t.exec(`INSERT INTO dead_boxes (account, box) SELECT DISTINCT account, box FROM messages WHERE account = $1`, acct)
	for _, table := range []string{"mailboxes", "subscriptions", "expunged", "arriving_boxes", "arrivals", "accounts"} {
		t.exec(`DELETE FROM `+table+` WHERE account = $1`, acct)
	}
	t.exec(`INSERT INTO dead_accounts (account) VALUES ($1)`, acct)
}

// own counts the owners of all bodies of an account. Those without are removed.
func (t *tx) own(acct int64) {
	t.exec(`DELETE FROM shared WHERE account = $1`, acct)
	t.exec(`INSERT INTO shared (account, body, owners) SELECT $1, body, count(*) FROM messages WHERE account = $1 GROUP BY body HAVING count(*) > 1`, acct)
	t.exec(`WITH dead AS (DELETE FROM bodies WHERE account = $1 AND body = ANY(ARRAY(
			SELECT body FROM bodies WHERE account = $1 EXCEPT SELECT body FROM messages WHERE account = $1)) RETURNING blob)
		INSERT INTO dead_blobs (blob) SELECT DISTINCT blob FROM dead WHERE blob IS NOT NULL ON CONFLICT DO NOTHING`, acct)
}

// ownSome is own for some bodies.
func (t *tx) ownSome(acct int64, bodies []int64) {
	t.exec(`DELETE FROM shared WHERE account = $1 AND body = ANY($2)`, acct, bodies)
	t.exec(`INSERT INTO shared (account, body, owners) SELECT $1, body, count(*) FROM messages WHERE account = $1 AND body = ANY($2) GROUP BY body HAVING count(*) > 1`, acct, bodies)
	t.exec(`WITH dead AS (DELETE FROM bodies WHERE account = $1 AND body = ANY(ARRAY(
			SELECT unnest($2::bigint[]) EXCEPT SELECT body FROM messages WHERE account = $1)) RETURNING blob)
		INSERT INTO dead_blobs (blob) SELECT DISTINCT blob FROM dead WHERE blob IS NOT NULL ON CONFLICT DO NOTHING`, acct, bodies)
}

// Activate makes an account that has left the other shard one of this database. Doing so twice is no error; what has not come to its end
// cannot become one, but then the other shard has it still.
func (s *Store) Activate(ctx context.Context, account mailbox.AccountID) error {
	return s.write(ctx, &request{op: opMove, run: func(t *tx) error {
		var acct int64
		var owner *string
		if err := t.rows(`SELECT account, owner::text FROM arrivals WHERE id = $1 FOR UPDATE`, func(r pgx.Rows) error { return r.Scan(&acct, &owner) }, account[:]); err != nil {
			return err
		}
		if acct == 0 {
			here := false // or gone on from here
			if err := t.rows(`SELECT true FROM accounts WHERE id = $1 UNION ALL SELECT true FROM departures WHERE account = $1 AND gone`,
				func(r pgx.Rows) error { return r.Scan(&here) }, account[:]); err != nil || here {
				return err
			}
			return corrupt(opMove, errors.New("account "+account.String()+" has left for this shard, and is not here"))
		}
		if owner == nil {
			return corrupt(opMove, errors.New("account "+account.String()+" has left for this shard before all of it was here"))
		}
		var names struct {
			Name  string   `json:"name"`
			Names []string `json:"names"`
		}
		if err := json.Unmarshal([]byte(*owner), &names); err != nil {
			return corrupt(opMove, err)
		}
		t.exec(`UPDATE accounts SET id = $2 WHERE account = $1`, acct, account[:])
		t.exec(`UPDATE mailboxes m SET id = b.id, name = b.name FROM arriving_boxes b WHERE b.account = $1 AND m.account = $1 AND m.box = b.box AND b.id IS NOT NULL`, acct)
		if names.Name != "" {
			t.exec(`INSERT INTO users SELECT (jsonb_populate_record(NULL::users, $2::text::jsonb || jsonb_build_object('account', $1::bigint))).*`, acct, *owner)
			t.exec(`INSERT INTO names (name, username) SELECT name, $1 FROM unnest($2::text[]) AS name`, names.Name, names.Names)
		}
		t.exec(`DELETE FROM arriving_boxes WHERE account = $1`, acct)
		t.exec(`DELETE FROM arrivals WHERE account = $1`, acct)
		t.exec(`DELETE FROM departures WHERE account = $1`, account[:]) // of an earlier stay
		return nil
	}})
}
