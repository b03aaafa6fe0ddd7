package wire

import (
	"strings"

	"github.com/emersion/go-imap/v2"
)

// A Search is the argument list of SEARCH or UID SEARCH (RFC 9051 §6.4.4).
type Search struct {
	Key SearchAnd // at least one key
	// Return says what the client wants to know; it counts only if Extended is set.
	// RETURN () is RETURN (ALL).
	Return imap.SearchOptions
	// Extended is set if RETURN was given: the answer is ESEARCH, not SEARCH (RFC 4731).
	Extended bool
	// ModSeq is set if a MODSEQ key was used: the answer has the highest
	// mod-sequence (RFC 7162 §3.1.5).
	ModSeq bool
}

// Limits of one SEARCH.
const (
	maxSearchDepth = 256 // clients write "any of n" as n-1 nested ORs
	maxSearchKeys  = 2048
)

// searchReader reads the keys of one SEARCH.
type searchReader struct {
	*Decoder
	keys   int
	modSeq bool
}

// Search reads the arguments of SEARCH or UID SEARCH.
func (d *Decoder) Search() (Search, error) {
	var s Search
	if err := d.SP(); err != nil {
		return s, err
	}
	if d.word("RETURN") {
		s.Extended = true
		if err := d.SP(); err != nil {
			return s, err
		}
		if err := d.list(true, func() error { return d.searchReturn(&s.Return) }); err != nil {
			return s, err
		}
		if s.Return == (imap.SearchOptions{}) {
			s.Return.ReturnAll = true
		}
		if err := d.SP(); err != nil {
			return s, err
		}
	}
	if d.word("CHARSET") {
		if err := d.charset(); err != nil {
			return s, err
		}
	}
	r := searchReader{Decoder: d}
	for {
		key, err := r.key(0)
		if err != nil {
			return s, err
		}
		s.Key = append(s.Key, key)
		if !d.accept(' ') {
			s.ModSeq = r.modSeq
			return s, d.End()
		}
	}
}

// word reads name if it is the next atom, in any case.
func (d *Decoder) word(name string) bool {
	end := d.pos + len(name)
	if len(d.seg) < end || end < len(d.seg) && isAtomChar(d.seg[end]) ||
		!strings.EqualFold(string(d.seg[d.pos:end]), name) {
		return false
	}
	d.pos = end
	return true
}

// charset reads SP charset SP. US-ASCII is a part of UTF-8, so nothing depends on which it is.
func (d *Decoder) charset() error {
	if err := d.SP(); err != nil {
		return err
	}
	name, err := d.AString()
	if err != nil {
		return err
	}
	if !strings.EqualFold(name, "UTF-8") && !strings.EqualFold(name, "US-ASCII") {
		return &BadCharsetError{}
	}
	return d.SP()
}

// searchReturn reads one return option.
func (d *Decoder) searchReturn(o *imap.SearchOptions) error {
	name, err := d.keyword()
	if err != nil {
		return err
	}
	switch name {
	case "MIN":
		o.ReturnMin = true
	case "MAX":
		o.ReturnMax = true
	case "ALL":
		o.ReturnAll = true
	case "COUNT":
		o.ReturnCount = true
	case "SAVE": // RFC 5182
		o.ReturnSave = true
	default:
		return syntax("unknown SEARCH return option")
	}
	return nil
}
