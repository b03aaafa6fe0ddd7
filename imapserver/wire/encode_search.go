package wire

import "github.com/emersion/go-imap/v2"

// SearchBegin begins a SEARCH response (RFC 3501 §7.2.5), SearchNum appends each
// number and SearchEnd ends it.
func (e *Encoder) SearchBegin() { e.Raw("* SEARCH") }

// SearchNum appends one sequence number or UID.
func (e *Encoder) SearchNum(n uint32) {
	e.SP()
	e.Number(uint64(n))
}

// SearchEnd appends the highest mod-sequence unless it is 0 (RFC 7162 §3.1.6), and CRLF.
func (e *Encoder) SearchEnd(modSeq uint64) {
	if modSeq > 0 {
		e.Raw(" (MODSEQ ")
		e.Number(modSeq)
		e.Raw(")")
	}
	e.CRLF()
}

// ESearch appends a whole ESEARCH response for the command with tag (RFC 9051
// §7.3.4, RFC 4731 §3.1). o says what was asked for. MIN, MAX and ALL are left
// out if nothing matched, that is if d.Min, d.Max or d.All is zero; d.ModSeq is
// written unless it is 0.
func (e *Encoder) ESearch(tag string, uid bool, o *imap.SearchOptions, d *imap.SearchData) {
	e.Raw("* ESEARCH (TAG ")
	e.quoted(tag)
	e.Raw(")")
	if uid {
		e.Raw(" UID")
	}
	if o.ReturnMin && d.Min > 0 {
		e.Raw(" MIN ")
		e.Number(uint64(d.Min))
	}
	if o.ReturnMax && d.Max > 0 {
		e.Raw(" MAX ")
		e.Number(uint64(d.Max))
	}
	if o.ReturnCount {
		e.Raw(" COUNT ")
		e.Number(uint64(d.Count))
	}
	if o.ReturnAll && !emptySet(d.All) {
		e.Raw(" ALL ")
		e.NumSet(d.All)
	}
	if d.ModSeq > 0 {
		e.Raw(" MODSEQ ")
		e.Number(d.ModSeq)
	}
	e.CRLF()
}

func emptySet(set imap.NumSet) bool {
	switch s := set.(type) {
	case imap.UIDSet:
		return len(s) == 0
	case imap.SeqSet:
		return len(s) == 0
	}
	return true
}
