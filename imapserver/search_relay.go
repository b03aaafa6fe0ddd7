package imapserver

import (
	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/wire"
)

// asked is a matcher whose messages a Searcher finds. It needs nothing of a message but its UID.
type asked struct {
	key   wire.SearchKey
	found imap.UIDSet
}

func (x *asked) cost() cost                       { return byBody }
func (x *asked) match(m *candidate) (bool, error) { return x.found.Contains(m.uid()), nil }

// ask compiles a key that the Searcher decides.
func (s *search) ask(key wire.SearchKey) (matcher, error) {
	s.texts += texts(key)
	if s.texts > maxTexts || len(s.asked) >= maxTexts {
		return nil, no(imap.ResponseCodeLimit, "too many texts in one search")
	}
	x := &asked{key: key}
	s.asked = append(s.asked, x)
	return x, nil
}

// findAsked evaluates a search over uids with what the Searcher finds of them. Flags, and which messages there
// are, are the view's to say.
func (c *conn) findAsked(s *search, slow matcher, uids imap.UIDSet, result *found) error {
	for _, x := range s.asked {
		var err error
		if x.found, err = s.searcher.Search(c.srv.commands, c.session.box, uids, x.key); err != nil {
			return err
		}
	}
	for chunk := range chunks(uids, pageSize) {
		rows, err := c.session.view.Flags(c.srv.commands, chunk, c.rows[:0])
		c.rows = rows
		if err != nil {
			return err
		}
		for i := range rows {
			ok, err := slow.match(&candidate{search: s, FlagRow: &rows[i]})
			if err != nil {
				return err
			}
			if ok {
				result.add(rows[i].UID, rows[i].ModSeq)
			}
		}
	}
	return nil
}

// together makes one key of those that a Searcher decides, so that it is asked once.
func together(keys wire.SearchAnd) wire.SearchAnd {
	var ours, theirs wire.SearchAnd
	for _, k := range keys {
		if unchangingKey(k) {
			theirs = append(theirs, k)
		} else {
			ours = append(ours, k)
		}
	}
	switch len(theirs) {
	case 0:
		return ours
	case 1:
		return append(ours, theirs[0])
	}
	return append(ours, theirs)
}

// unchangingKey reports whether only what never changes decides whether a message matches, and something does.
func unchangingKey(key wire.SearchKey) bool {
	all := func(keys []wire.SearchKey) bool {
		for _, k := range keys {
			if !unchangingKey(k) {
				return false
			}
		}
		return len(keys) > 0 // ALL is nothing to ask for
	}
	switch k := key.(type) {
	case wire.SearchAnd:
		return all(k)
	case wire.SearchOr:
		return all(k)
	case wire.SearchNot:
		return unchangingKey(k.Key)
	case wire.SearchText, wire.SearchDate, wire.SearchSize:
		return true
	}
	return false
}

// texts counts the texts in a key.
func texts(key wire.SearchKey) (n int) {
	switch k := key.(type) {
	case wire.SearchAnd:
		for _, k := range k {
			n += texts(k)
		}
	case wire.SearchOr:
		for _, k := range k {
			n += texts(k)
		}
	case wire.SearchNot:
		n = texts(k.Key)
	case wire.SearchText:
		n = 1
	}
	return n
}
