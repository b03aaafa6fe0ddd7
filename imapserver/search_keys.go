package imapserver

import (
	"cmp"
	"io"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/wire"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/message"
	"github.com/starling-mail/starling/tracker"
)

// A matcher decides whether a message matches one key.
type matcher interface {
	match(m *candidate) (bool, error)
	cost() cost
}

// cost says what a matcher has to read.
type cost uint8

const (
	byFlags  cost = iota // what the tracker keeps
	byRow                // a row of the store
	byHeader             // the message's header
	byBody               // the message
)

// maxTexts is how many texts one SEARCH may look for: each may have to read all messages.
const maxTexts = 64

// maxHeader is how much of a message's header is searched, in bytes.
const maxHeader = 1 << 20

// A search is one SEARCH being evaluated.
type search struct {
	*conn
	fields mailstore.Fields // of the rows that are needed
	texts  int

	searcher mailstore.Searcher // nil: messages are read
	asked    []*asked           // what it has to be asked
}

// A candidate is a message that may match. Either FlagRow or row is set; what lies
// behind row is read when a key asks for it.
type candidate struct {
	*search
	*tracker.FlagRow
	row     *mailstore.Row
	message *message.Message
	body    mailstore.Body
	header  []byte // nil: not read
}

func (m *candidate) uid() imap.UID {
	if m.row != nil {
		return m.row.UID
	}
	return m.FlagRow.UID
}

func (m *candidate) flags() mailbox.Flags {
	if m.row != nil {
		return m.row.Flags
	}
	return m.FlagRow.Flags
}

func (m *candidate) modSeq() mailbox.ModSeq {
	if m.row != nil {
		return m.row.ModSeq
	}
	return m.FlagRow.ModSeq
}

// structure decodes what is stored of the message.
func (m *candidate) structure() (*message.Message, error) {
	var err error
	if m.message == nil {
		if m.message, err = message.Decode(m.row.Structure); err != nil {
			return nil, &mailbox.Error{Kind: mailbox.Corrupt, Op: "search", Err: err}
		}
	}
	return m.message, nil
}

// open opens the message's bytes.
func (m *candidate) open() (io.ReaderAt, error) {
	if m.body != nil {
		return m.body, nil
	}
	body, err := m.srv.opts.Store.Body(m.srv.commands, m.session.box, m.row.UID)
	if err != nil {
		return nil, err
	}
	m.body = body
	return body, nil
}

func (m *candidate) close() {
	if m.body != nil {
		m.body.Close()
	}
}

// compile turns keys into two matchers: one that needs flags only, and one for the
// rest, nil if there is none.
func (s *search) compile(keys wire.SearchAnd) (quick all, slow matcher, err error) {
	var cheap, costly all
	if s.searcher != nil {
		keys = together(keys)
	}
	for _, k := range keys {
		m, err := s.matcher(k)
		if err != nil {
			return nil, nil, err
		}
		if m.cost() == byFlags {
			cheap = append(cheap, m)
		} else {
			costly = append(costly, m)
		}
	}
	if len(costly) == 0 {
		return cheap, nil, nil
	}
	return cheap, costly.sorted(), nil
}

// matcher compiles one key.
func (s *search) matcher(key wire.SearchKey) (matcher, error) {
	if s.searcher != nil && unchangingKey(key) {
		return s.ask(key)
	}
	switch k := key.(type) {
	case wire.SearchAnd:
		list, err := s.matchers(k)
		return all(list).sorted(), err
	case wire.SearchOr:
		list, err := s.matchers(k)
		return anyOf(all(list).sorted()), err
	case wire.SearchNot:
		m, err := s.matcher(k.Key)
		return not{m}, err
	case wire.SearchSet:
		return s.set(k.Set), nil
	case wire.SearchFlag:
		return hasFlag(k), nil
	case wire.SearchModSeq:
		return changedSince(k.ModSeq), nil
	case wire.SearchSize:
		s.fields |= mailstore.FieldSize
		return hasSize(k), nil
	case wire.SearchDate:
		if k.Of == wire.DateSent {
			s.fields |= mailstore.FieldStructure
		} else {
			s.fields |= mailstore.FieldReceived
		}
		return hasDate(k), nil
	case wire.SearchText:
		if s.texts++; s.texts > maxTexts {
			return nil, no(imap.ResponseCodeLimit, "too many texts in one search")
		}
		s.fields |= mailstore.FieldStructure
		return &hasText{k, message.NewMatcher(k.Text)}, nil
	}
	return nil, bad("unknown search key")
}

// set compiles a set of messages. It is a condition like others: numbers that no message has
// are in no message's way.
func (s *search) set(set imap.NumSet) matcher {
	view := s.session.view
	switch set := set.(type) {
	case imap.SeqSet:
		s.byNumber = true
		r, _ := view.Resolve(set)
		return inSet(r.UIDs)
	case imap.UIDSet:
		if imap.IsSearchRes(set) {
			set = s.session.saved
		}
		return inSet(view.ResolveUIDs(set).UIDs)
	}
	return inSet(nil)
}

func (s *search) matchers(keys []wire.SearchKey) ([]matcher, error) {
	var list []matcher
	for _, k := range keys {
		m, err := s.matcher(k)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

type (
	all          []matcher
	anyOf        []matcher
	not          struct{ matcher }
	inSet        imap.UIDSet
	hasFlag      imap.Flag
	changedSince mailbox.ModSeq
	hasSize      wire.SearchSize
	hasDate      wire.SearchDate
	hasText      struct {
		wire.SearchText
		*message.Matcher
	}
)

// sorted puts what is cheap to find out first.
func (x all) sorted() all {
	slices.SortStableFunc(x, func(a, b matcher) int { return cmp.Compare(a.cost(), b.cost()) })
	return x
}

func highestCost(list []matcher) (c cost) {
	for _, m := range list {
		c = max(c, m.cost())
	}
	return c
}

func (x all) cost() cost          { return highestCost(x) }
func (x anyOf) cost() cost        { return highestCost(x) }
func (x inSet) cost() cost        { return byFlags }
func (x hasFlag) cost() cost      { return byFlags }
func (x changedSince) cost() cost { return byFlags }
func (x hasSize) cost() cost      { return byRow }
func (x hasDate) cost() cost      { return byRow }

func (x *hasText) cost() cost {
	if x.In == wire.InHeader {
		return byHeader
	}
	return byBody
}

func (x all) match(m *candidate) (bool, error) {
	for _, k := range x {
		if ok, err := k.match(m); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (x anyOf) match(m *candidate) (bool, error) {
	for _, k := range x {
		if ok, err := k.match(m); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

func (x not) match(m *candidate) (bool, error) {
	ok, err := x.matcher.match(m)
	return !ok, err
}

func (x inSet) match(m *candidate) (bool, error) { return imap.UIDSet(x).Contains(m.uid()), nil }

func (x hasFlag) match(m *candidate) (bool, error) {
	if imap.Flag(x) == wire.FlagRecent {
		return m.session.isRecent(m.uid()), nil
	}
	return m.flags().Has(imap.Flag(x)), nil
}

func (x changedSince) match(m *candidate) (bool, error) { return m.modSeq() >= mailbox.ModSeq(x), nil }

func (x hasSize) match(m *candidate) (bool, error) {
	if x.Larger {
		return m.row.Size > x.Size, nil
	}
	return m.row.Size < x.Size, nil
}

// match compares dates "disregarding time and timezone" (RFC 9051 §6.4.4): each as it
// stands in its own zone.
func (x hasDate) match(m *candidate) (bool, error) {
	t := m.row.Received
	if x.Of == wire.DateSent {
		parsed, err := m.structure()
		if err != nil {
			return false, err
		}
		if t = parsed.Date; t.IsZero() {
			return false, nil
		}
	}
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	switch x.When {
	case wire.Before:
		return day.Before(x.Date), nil
	case wire.Since:
		return !day.Before(x.Date), nil
	default:
		return day.Equal(x.Date), nil
	}
}

func (x *hasText) match(m *candidate) (bool, error) {
	parsed, err := m.structure()
	if err != nil {
		return false, err
	}
	body, err := m.open()
	if err != nil {
		return false, err
	}
	if x.In != wire.InHeader {
		ok, err := x.Matcher.Text(parsed, body, x.In == wire.InText)
		if err != nil {
			return false, unreadable(err)
		}
		return ok, nil
	}
	if m.header == nil {
		r := parsed.Root.Header()
		m.header = make([]byte, min(r.Len(), maxHeader))
		if _, err := body.ReadAt(m.header, r.Start); err != nil && err != io.EOF {
			return false, unreadable(err)
		}
	}
	return x.Header(m.header, x.Field), nil
}
