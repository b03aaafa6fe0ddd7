package postgres

import (
	"bytes"
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/incoming"
)

// A membership is what a database knows of the shards that it is one of.
type membership struct {
	shard     *string // NULL: it is alone
	directory []byte  // the system of the shard with the directory
}

// belong makes sure that this database is the shard that it is taken for. The
// first time it becomes that: the first shard with all that it holds, the others only if they hold nothing.
func (s *Store) belong(ctx context.Context, is membership) error {
	const op = "open shard"
	if s.o.Shard == "" {
		if is.shard != nil {
			return refuse(mailbox.Cannot, op, fmt.Sprintf("this database is the shard %q of several: it does not work alone", *is.shard))
		}
		return nil
	}
	directory, line := s.system, s.line.Load()
	if s.o.Directory != nil {
		directory, line = s.o.Directory.system, s.o.Directory.line.Load()
	}
	if is.shard == nil {
		return s.becomeShard(ctx, op, directory, line)
	}
	switch {
	case *is.shard != s.o.Shard:
		return refuse(mailbox.Cannot, op, fmt.Sprintf("the database of shard %q is that of shard %q", s.o.Shard, *is.shard))
	case !bytes.Equal(is.directory, directory[:]):
		return refuse(mailbox.Cannot, op, fmt.Sprintf("the database of shard %q belongs to another mail store, or the shards are not in their order", s.o.Shard))
	}
	return nil
}

// becomeShard gives the database its place among the shards. They all have one Line, so that
// an account's numbers are the same wherever it is.
func (s *Store) becomeShard(ctx context.Context, op string, directory [16]byte, line uint64) error {
	err := s.write(ctx, &request{op: op, run: func(t *tx) error {
		var is membership
		used := false
		if err := t.rows(`SELECT shard, EXISTS (SELECT FROM accounts) FROM store FOR UPDATE`, func(r pgx.Rows) error { return r.Scan(&is.shard, &used) }); err != nil {
			return err
		}
		switch {
		case is.shard != nil: // another node was faster; what it made of it is seen at the next opening
			return refuse(mailbox.Unavailable, op, "another node has just opened this database")
		case used && s.o.Directory != nil:
			return refuse(mailbox.Cannot, op, fmt.Sprintf("the database of shard %q holds accounts already: only that of the first shard may", s.o.Shard))
		}
		t.exec(`UPDATE store SET shard = $1, directory = $2, line = $3`, s.o.Shard, directory[:], int64(line))
		if s.o.Directory == nil {
			t.exec(`INSERT INTO directory (account, username, shard, state) SELECT a.id, u.name, $1, $2 FROM users u JOIN accounts a ON a.account = u.account`, s.o.Shard, int16(Settled))
			t.exec(`INSERT INTO directory_names (name, account) SELECT n.name, a.id FROM names n JOIN users u ON u.name = n.username JOIN accounts a ON a.account = u.account`)
		}
		return nil
	}})
	if err == nil {
		s.line.Store(line)
	}
	return err
}

// Shard returns the store's name among the shards.
func (s *Store) Shard() string { return s.o.Shard }

// Holds reports whether an account is kept here. That its mail is somewhere else
// is no error.
func (s *Store) Holds(ctx context.Context, account mailbox.AccountID) (here bool, err error) {
	err = s.read(ctx, "find account", []stmt{{sql: `SELECT true FROM accounts WHERE id = $1`, args: []any{account[:]},
		scan: func(r pgx.Rows) error { return r.Scan(&here) }}})
	return here, err
}

// Owner returns the account of a mailbox that is kept here, or an error of kind
// NonExistent.
func (s *Store) Owner(ctx context.Context, id mailbox.ID) (account mailbox.AccountID, err error) {
	const op = "find mailbox"
	if err := s.read(ctx, op, []stmt{{sql: `SELECT a.id FROM mailboxes m JOIN accounts a ON a.account = m.account WHERE m.id = $1`, args: []any{id[:]},
		scan: func(r pgx.Rows) error {
			var b []byte
			err := r.Scan(&b)
			copy(account[:], b)
			return err
		}}}); err != nil {
		return account, err
	}
	if account.IsZero() {
		return account, refuse(mailbox.NonExistent, op, "no such mailbox")
	}
	return account, nil
}

// Adopt returns a draft of this store with the message of d, which another Receiver received and whose
// blob, if it has one, is in from.
func (s *Store) Adopt(ctx context.Context, d *incoming.Draft, from blob.Store) (*incoming.Draft, error) {
	return s.receiver.Adopt(ctx, d, from)
}
