package postgres

import (
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/starling-mail/starling/mailbox"
)

// settled leaves out accounts that are arriving from another shard.
const settled = ` AND NOT EXISTS (SELECT FROM arrivals r WHERE r.account = a.account)`

// nameFaults are queries for what cannot be in the tables of users, accounts and
// mailboxes; each row is a name.
var nameFaults = []struct{ what, sql string }{
	{"user %s has no account", `SELECT name FROM users u WHERE NOT EXISTS (SELECT FROM accounts a WHERE a.account = u.account)`},
	{"account %s belongs to no user", `SELECT encode(id, 'hex') FROM accounts a WHERE NOT EXISTS (SELECT FROM users u WHERE u.account = a.account)` + settled},
	{"account %s has no INBOX", `SELECT encode(id, 'hex') FROM accounts a WHERE NOT EXISTS (SELECT FROM mailboxes m WHERE m.account = a.account AND m.name = 'INBOX')` + settled},
	{"mailbox %s has no account", `SELECT encode(id, 'hex') FROM mailboxes m WHERE NOT EXISTS (SELECT FROM accounts a WHERE a.account = m.account)`},
	{"mailbox %s has a UIDVALIDITY beyond its account's last", `SELECT encode(m.id, 'hex') FROM mailboxes m JOIN accounts a ON a.account = m.account WHERE m.uidvalidity > a.uidvalidity`},
	{"the name %s is no user's", `SELECT name FROM names n WHERE NOT EXISTS (SELECT FROM users u WHERE u.name = n.username)`},
	{"user %s cannot be found by name", `SELECT name FROM users u WHERE NOT EXISTS (SELECT FROM names n WHERE n.name = u.name AND n.username = u.name)`},
}

// names looks at users, accounts and mailboxes beside each other.
func (c *checker) names() error {
	for _, q := range nameFaults {
		if err := c.read(stmt{sql: q.sql, scan: func(r pgx.Rows) error {
			var name string
			err := r.Scan(&name)
			c.found(false, q.what, name)
			return err
		}}); err != nil {
			return err
		}
	}
	return nil
}

// ownersQuery finds the bodies of an account that are owned by another number of
// messages than is written down, or that are not there.
const ownersQuery = `WITH owned AS (SELECT body, count(*) AS n FROM messages WHERE account = $1 GROUP BY body),
	every AS (SELECT body FROM owned UNION SELECT body FROM bodies WHERE account = $1 UNION SELECT body FROM shared WHERE account = $1)
	SELECT e.body, coalesce(o.n, 0), coalesce(s.owners, 1), b.body IS NOT NULL FROM every e LEFT JOIN owned o ON o.body = e.body
	LEFT JOIN shared s ON s.account = $1 AND s.body = e.body LEFT JOIN bodies b ON b.account = $1 AND b.body = e.body
	WHERE coalesce(o.n, 0) <> coalesce(s.owners, 1) OR b.body IS NULL ORDER BY e.body`

// accounts looks at the usage of each account and at the owners of its bodies.
func (c *checker) accounts() error {
	for last := int64(0); ; {
		type key struct {
			num int64
			id  mailbox.AccountID
		}
		var list []key
		if err := c.read(stmt{sql: `SELECT account, id FROM accounts WHERE account > $1 ORDER BY account LIMIT $2`, args: []any{last, checkStep},
			scan: func(r pgx.Rows) error {
				var id []byte
				err := r.Scan(&last, &id)
				k := key{num: last}
				copy(k.id[:], id)
				list = append(list, k)
				return err
			}}); err != nil {
			return err
		}
		for _, k := range list {
			was, is, err := c.s.RecountQuota(c.ctx, k.id, false)
			switch {
			case mailbox.KindOf(err) == mailbox.NonExistent: // removed meanwhile
				continue
			case err != nil:
				return err
			case was != is:
				c.found(false, "account %s: the usage is %+v, its messages make %+v", k.id, was, is)
			}
			if err := c.owners(k.num, k.id); err != nil {
				return err
			}
		}
		if len(list) < checkStep {
			return nil
		}
	}
}

// owners compares an account's bodies with the messages that have them.
func (c *checker) owners(num int64, id mailbox.AccountID) error {
	return c.read(stmt{sql: ownersQuery, args: []any{num}, scan: func(r pgx.Rows) error {
		var body, messages, written int64
		var stored bool
		if err := r.Scan(&body, &messages, &written, &stored); err != nil {
			return err
		}
		where := fmt.Sprintf("account %s: %s", id, bodyName(body))
		switch {
		case messages == 0:
			c.found(false, "%s has no message", where)
		case !stored:
			c.found(true, "%s is missing, %d messages have it", where, messages)
		default:
			c.found(false, "%s has %d messages, %d are written down", where, messages, written)
		}
		return nil
	}})
}

// bodyName names a body as findings do: by the mailbox and the UID that had it
// first.
func bodyName(body int64) string { return fmt.Sprintf("body %d:%d", body>>32, body&maxUID) }

// leftovers finds rows of mailboxes and accounts that are gone, and that nobody
// is going to clear away.
func (c *checker) leftovers() error {
	const of = ` k WHERE k.account = s.account`
	const mailboxes = `SELECT FROM mailboxes` + of + ` AND k.box = s.box UNION ALL SELECT FROM dead_boxes` + of + ` AND k.box = s.box
		UNION ALL SELECT FROM arriving_boxes` + of + ` AND k.box = s.box`
	const accounts = `SELECT FROM accounts` + of
	const withMessages = accounts + ` UNION ALL SELECT FROM messages` + of // they go with the last message
	for _, l := range []leftover{
		{"messages", true, mailboxes},
		{"expunged", true, mailboxes},
		{"bodies", false, withMessages},
		{"shared", false, withMessages},
		{"subscriptions", false, accounts},
		{"threads", false, accounts + ` UNION ALL SELECT FROM dead_accounts` + of},
	} {
		if err := c.leftover(l); err != nil {
			return err
		}
	}
	return nil
}

// A leftover is a table whose rows belong to something: a mailbox, or else an
// account.
type leftover struct {
	table   string
	mailbox bool
	known   string // a query that has rows if what s says is there, or is being cleared away
}

// query goes from key to key, without reading the rows between them.
func (l leftover) query() string {
	first := func(key, columns, after, beyond string) string {
		return `(SELECT account, ` + columns + ` AS box FROM ` + l.table + ` WHERE ` + after + ` > ` + beyond + ` ORDER BY ` + key + ` LIMIT 1)`
	}
	begin, next := first("account", "0::bigint", "account", "$1 + 0 * $2::bigint"), first("account", "0::bigint", "account", "s.account")
	if l.mailbox {
		begin, next = first("account, box", "box", "(account, box)", "($1, $2)"), first("account, box", "box", "(account, box)", "(s.account, s.box)")
	}
	return `WITH RECURSIVE s AS (` + begin + ` UNION ALL SELECT n.account, n.box FROM s, LATERAL ` + next + ` AS n)
		SELECT s.account, s.box, EXISTS (` + l.known + `) FROM (SELECT * FROM s LIMIT $3) AS s`
}

func (c *checker) leftover(l leftover) error {
	for acct, num, n := int64(0), int64(0), checkStep; n == checkStep; {
		n = 0
		if err := c.read(stmt{sql: l.query(), args: []any{acct, num, checkStep}, scan: func(r pgx.Rows) error {
			var there bool
			err := r.Scan(&acct, &num, &there)
			if n++; !there && err == nil {
				c.found(false, "%s has rows of account number %d, mailbox number %d, which is gone", l.table, acct, num)
			}
			return err
		}}); err != nil {
			return err
		}
	}
	return nil
}
