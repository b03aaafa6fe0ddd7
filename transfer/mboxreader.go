package transfer

import (
	"bufio"
	"bytes"
	"io"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// An mboxMeta is what a message's header in an mbox file says for the mail
// program alone.
type mboxMeta struct {
	flags    []imap.Flag
	internal bool // not a message, or one that was removed
}

// An mboxReader reads one message of an mbox file without the quoting of its From
// lines and without the header fields that are the mail program's own.
type mboxReader struct {
	r        *bufio.Reader
	mboxo    bool
	meta     mboxMeta
	head     bytes.Buffer // the header, read and filtered
	midLine  bool         // within a line too long for the buffer
	rest     []byte       // of the line that is being read; valid until the next
	inHeader bool
	skipping bool // within a field that is left out
}

// maxHeader bounds what is read of a header to find the flags; what is
// beyond counts as body.
const maxHeader = 1 << 20

func newMboxReader(r io.Reader, mboxo bool) *mboxReader {
	return &mboxReader{r: bufio.NewReaderSize(r, 16<<10), mboxo: mboxo, inHeader: true}
}

// header reads the header, so that meta is complete.
func (m *mboxReader) header() error {
	for m.inHeader && m.head.Len() < maxHeader {
		line, err := m.r.ReadSlice('\n')
		whole := !m.midLine
		m.midLine = err == bufio.ErrBufferFull
		if whole {
			m.field(line)
		}
		if !m.skipping {
			m.head.Write(m.unquote(line, whole))
		}
		switch {
		case err == io.EOF:
			m.inHeader = false
			return nil
		case err != nil && err != bufio.ErrBufferFull:
			return err
		}
	}
	m.inHeader = false
	return nil
}

// field looks at the beginning of a header line.
func (m *mboxReader) field(line []byte) {
	if len(bytes.TrimRight(line, "\r\n")) == 0 {
		m.inHeader, m.skipping = false, false
		return
	}
	if line[0] == ' ' || line[0] == '\t' {
		return // belongs to the field before
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	m.skipping = m.meta.take(strings.ToLower(string(bytes.TrimSpace(name))), strings.TrimSpace(string(value)))
}

// statusFlags are the letters of Status and X-Status (UW imapd, mutt, Dovecot).
var statusFlags = map[rune]imap.Flag{
	'R': imap.FlagSeen, 'A': imap.FlagAnswered, 'F': imap.FlagFlagged, 'D': imap.FlagDeleted, 'T': imap.FlagDraft,
}

// mozillaFlags are the bits of X-Mozilla-Status that IMAP knows.
var mozillaFlags = []struct {
	bit  uint64
	flag imap.Flag
}{{0x1, imap.FlagSeen}, {0x2, imap.FlagAnswered}, {0x4, imap.FlagFlagged}, {0x1000, imap.FlagForwarded}}

// mozillaExpunged marks what Thunderbird has removed but not yet compacted away.
const mozillaExpunged = 0x8

// take takes in a field that is the mail program's own, and reports whether
// it is one.
func (m *mboxMeta) take(name, value string) bool {
	switch name {
	case "status", "x-status":
		for _, c := range value {
			if f, ok := statusFlags[c]; ok {
				m.flags = append(m.flags, f)
			}
		}
	case "x-keywords", "x-mozilla-keys":
		for word := range strings.FieldsSeq(value) {
			if validKeyword(word) {
				m.flags = append(m.flags, imap.Flag(word))
			}
		}
	case "x-mozilla-status":
		bits, err := strconv.ParseUint(value, 16, 32)
		if err != nil {
			return true
		}
		for _, f := range mozillaFlags {
			if bits&f.bit != 0 {
				m.flags = append(m.flags, f.flag)
			}
		}
		m.internal = m.internal || bits&mozillaExpunged != 0
	case "x-imap":
		// The first message of UW imapd's and Dovecot's files: the numbering alone.
		m.internal = true
	case "x-imapbase", "x-uid", "x-mozilla-status2":
	default:
		return false
	}
	return true
}

// unquote takes one ">" from a line such as ">From ". whole: it is a line's
// beginning.
func (m *mboxReader) unquote(line []byte, whole bool) []byte {
	if !whole || len(line) == 0 || line[0] != '>' {
		return line
	}
	from := bytes.TrimLeft(line, ">")
	if bytes.HasPrefix(from, []byte(fromPrefix)) && (!m.mboxo || len(line)-len(from) == 1) {
		return line[1:]
	}
	return line
}

func (m *mboxReader) Read(p []byte) (int, error) {
	if m.head.Len() > 0 {
		return m.head.Read(p)
	}
	for len(m.rest) == 0 {
		line, err := m.r.ReadSlice('\n')
		m.rest = m.unquote(line, !m.midLine)
		m.midLine = err == bufio.ErrBufferFull
		if len(line) == 0 && err != nil || err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return 0, err
		}
	}
	n := copy(p, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}
