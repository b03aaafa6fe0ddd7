package wire

import (
	"encoding/base64"
	"unicode/utf8"

	"github.com/emersion/go-imap/v2"
)

// Status responses (RFC 9051 §7.1). An empty tag makes them untagged. A
// response with a code that has no method here is written in pieces:
//
//	e.Begin("", imap.StatusResponseTypeOK)
//	e.Raw("[UIDNEXT ")
//	e.Number(n)
//	e.Raw("] ")
//	e.Text("Predicted next UID")

// Begin appends the tag, or "*" if it is empty, the type and a space.
func (e *Encoder) Begin(tag string, typ imap.StatusResponseType) {
	if tag == "" {
		tag = "*"
	}
	e.Buf = append(e.Buf, tag...)
	e.SP()
	e.Buf = append(e.Buf, typ...)
	e.SP()
}

// Text appends the text of a response and CRLF. What a text may not hold is
// replaced; an empty text becomes "-", because one octet is needed at least.
func (e *Encoder) Text(text string) {
	if text == "" {
		text = "-"
	}
	ascii := !e.UTF8 || !utf8.ValidString(text)
	for i := range len(text) {
		c := text[i]
		switch {
		case c < ' ' || c == 0x7f:
			c = ' '
		case c >= utf8.RuneSelf && ascii:
			c = '?'
		}
		e.Buf = append(e.Buf, c)
	}
	e.CRLF()
}

// Status appends a whole response: tag, type, code unless it is empty, and text.
func (e *Encoder) Status(tag string, typ imap.StatusResponseType, code imap.ResponseCode, text string) {
	e.Begin(tag, typ)
	if code != "" {
		e.Buf = append(e.Buf, '[')
		e.Buf = append(e.Buf, code...)
		e.Buf = append(e.Buf, ']', ' ')
	}
	e.Text(text)
}

// NumberCode appends a whole response with a code that has one number, such
// as UIDVALIDITY, UIDNEXT, UNSEEN or HIGHESTMODSEQ.
func (e *Encoder) NumberCode(tag string, typ imap.StatusResponseType, code string, n uint64, text string) {
	e.Begin(tag, typ)
	e.Buf = append(e.Buf, '[')
	e.Raw(code)
	e.SP()
	e.Number(n)
	e.Buf = append(e.Buf, ']', ' ')
	e.Text(text)
}

// PermanentFlags appends a whole untagged OK [PERMANENTFLAGS (...)].
func (e *Encoder) PermanentFlags(flags []imap.Flag, text string) {
	e.Begin("", imap.StatusResponseTypeOK)
	e.Raw("[PERMANENTFLAGS ")
	e.Flags(flags)
	e.Raw("] ")
	e.Text(text)
}

// AppendUID appends a whole OK [APPENDUID validity uids] (RFC 9051 §7.1).
func (e *Encoder) AppendUID(tag string, validity uint32, uids imap.UIDSet, text string) {
	e.Begin(tag, imap.StatusResponseTypeOK)
	e.Raw("[APPENDUID ")
	e.Number(uint64(validity))
	e.SP()
	e.UIDSet(uids)
	e.Raw("] ")
	e.Text(text)
}

// CopyUID appends a whole OK [COPYUID validity source dest]. The n-th UID of
// source became the n-th of dest. MOVE sends it untagged (RFC 6851 §4.3).
func (e *Encoder) CopyUID(tag string, validity uint32, source, dest imap.UIDSet, text string) {
	e.Begin(tag, imap.StatusResponseTypeOK)
	e.Raw("[COPYUID ")
	e.Number(uint64(validity))
	e.SP()
	e.UIDSet(source)
	e.SP()
	e.UIDSet(dest)
	e.Raw("] ")
	e.Text(text)
}

// Modified appends a whole response with [MODIFIED set], the messages that a
// conditional STORE left alone (RFC 7162 §3.1.3). set must not be empty.
func (e *Encoder) Modified(tag string, typ imap.StatusResponseType, set imap.NumSet, text string) {
	e.Begin(tag, typ)
	e.Raw("[MODIFIED ")
	e.NumSet(set)
	e.Raw("] ")
	e.Text(text)
}

// BadCharset appends a whole NO [BADCHARSET (US-ASCII UTF-8)].
func (e *Encoder) BadCharset(tag, text string) {
	e.Status(tag, imap.StatusResponseTypeNo, "BADCHARSET (US-ASCII UTF-8)", text)
}

// Continuation appends a whole command continuation request (RFC 9051 §7.6).
// text must not be empty.
func (e *Encoder) Continuation(text string) {
	e.Raw("+ ")
	e.Text(text)
}

// Challenge appends a whole continuation request with a challenge of a SASL
// mechanism, which may be empty (RFC 9051 §6.2.2).
func (e *Encoder) Challenge(challenge []byte) {
	e.Raw("+ ")
	e.Buf = base64.StdEncoding.AppendEncode(e.Buf, challenge)
	e.CRLF()
}
