package sqlite

import (
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
)

// keywordList reads the keywords of a mailbox in the order of their first use.
func keywordList(c *sqlite3.Conn, box int64) (list []string, err error) {
	err = rows(c, `SELECT name FROM keywords WHERE box = ? ORDER BY n`, func(r *sqlite3.Stmt) error {
		list = append(list, r.Text(0))
		return nil
	}, box)
	return list, err
}

// A vocabulary gives keywords the spelling of their first use in a mailbox, and
// keeps new ones.
type vocabulary struct {
	t     *tx
	op    string
	box   int64
	read  bool
	names []string
	done  map[string]string
}

// use returns f in the mailbox's spelling. With add unset, keywords that the
// mailbox has not are left out: to remove a flag is no use of it.
func (v *vocabulary) use(f mailbox.Flags, add bool) (mailbox.Flags, error) {
	if f.Keywords == "" {
		return f, nil
	}
	if s, ok := v.done[f.Keywords]; ok {
		return mailbox.Flags{System: f.System, Keywords: s}, nil
	}
	if !v.read {
		var err error
		if v.names, err = keywordList(v.t.c, v.box); err != nil {
			return f, err
		}
		v.read, v.done = true, make(map[string]string)
	}
	var flags []imap.Flag
	for _, k := range f.KeywordList() {
		name := ""
		for _, n := range v.names {
			if strings.EqualFold(n, k) {
				name = n
				break
			}
		}
		if name == "" {
			if !add {
				continue
			}
			if len(v.names) >= v.t.s.o.MaxKeywords {
				return f, refuse(mailbox.Limit, v.op, "too many keywords in this mailbox")
			}
			if err := v.t.exec(`INSERT INTO keywords (box, n, name) VALUES (?, ?, ?)`, v.box, len(v.names), k); err != nil {
				return f, err
			}
			name = k
			v.names = append(v.names, k)
		}
		flags = append(flags, imap.Flag(name))
	}
	s := mailbox.NewFlags(flags...).Keywords
	v.done[f.Keywords] = s
	return mailbox.Flags{System: f.System, Keywords: s}, nil
}
