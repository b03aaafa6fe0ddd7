package wire

import (
	"time"

	"github.com/emersion/go-imap/v2"
)

// A SearchKey is a node of a search: what a message must be to match (RFC 9051
// §6.4.4, RFC 3501 §6.4.4). It is a SearchAnd, SearchOr, SearchNot, SearchSet,
// SearchFlag, SearchText, SearchDate, SearchSize or SearchModSeq.
//
// imap.SearchCriteria is not used: it cannot say SMALLER 0, loses the order in
// which a client put its keys, and has no place for later extensions. The
// tree is small instead: keys that are short for others are spelled out, so
// UNSEEN is SearchNot{SearchFlag(\Seen)}, NEW is \Recent and not \Seen, OLD is
// not \Recent, and ALL is an empty SearchAnd.
type SearchKey interface{ searchKey() }

type (
	// SearchAnd matches if all of its keys do; empty, it matches everything.
	SearchAnd []SearchKey
	// SearchOr matches if one of its keys does. It has at least two. Nested ORs are one.
	SearchOr []SearchKey
	// SearchNot matches if Key does not.
	SearchNot struct{ Key SearchKey }
	// SearchSet matches messages by number: an imap.SeqSet, or an imap.UIDSet, which
	// may be imap.SearchRes().
	SearchSet struct{ Set imap.NumSet }
	// SearchFlag matches messages with the flag or keyword.
	SearchFlag imap.Flag
	// SearchText matches messages that hold Text, valid UTF-8, ignoring case. An empty
	// Text is in everything that exists: HEADER with it asks for the field itself.
	SearchText struct {
		In    SearchIn
		Field string // header field name, for InHeader only
		Text  string
	}
	// SearchDate compares a date without time.
	SearchDate struct {
		Of   DateOf
		When DateWhen
		Date time.Time // midnight UTC
	}
	// SearchSize matches messages of more, or of fewer, than Size octets.
	SearchSize struct {
		Larger bool
		Size   int64
	}
	// SearchModSeq matches messages whose mod-sequence is ModSeq or more (RFC 7162
	// §3.1.5). Flag and Type are the entry that the client named, or empty; a server
	// with one mod-sequence a message ignores them.
	SearchModSeq struct {
		ModSeq uint64
		Flag   imap.Flag
		Type   imap.SearchCriteriaMetadataType
	}
)

func (SearchAnd) searchKey()    {}
func (SearchOr) searchKey()     {}
func (SearchNot) searchKey()    {}
func (SearchSet) searchKey()    {}
func (SearchFlag) searchKey()   {}
func (SearchText) searchKey()   {}
func (SearchDate) searchKey()   {}
func (SearchSize) searchKey()   {}
func (SearchModSeq) searchKey() {}

// SearchIn says where a text is searched.
type SearchIn uint8

const (
	InHeader SearchIn = iota // in one header field: HEADER, FROM, SUBJECT ...
	InBody                   // in the text of the body: BODY
	InText                   // in header or body: TEXT
)

// DateOf says which date of a message is compared.
type DateOf uint8

const (
	DateInternal DateOf = iota // INTERNALDATE: BEFORE, ON, SINCE
	DateSent                   // the Date field: SENTBEFORE, SENTON, SENTSINCE
)

// DateWhen says how a date is compared.
type DateWhen uint8

const (
	Before DateWhen = iota // earlier than the date
	On                     // on the date
	Since                  // on the date or later
)
