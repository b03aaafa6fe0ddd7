package message

import "io"

// A Matcher searches mails for one text, without case (SEARCH BODY, TEXT, HEADER and the like). It keeps buffers from
// one mail to the next, so it must not be used by two goroutines at a time.
type Matcher struct {
	needle string
}

// NewMatcher returns a Matcher for needle, which is UTF-8. An empty needle is in every text.
func NewMatcher(needle string) *Matcher { return &Matcher{needle: needle} }

// Text reports whether the needle is in the decoded text of m: in its text parts and the headers of embedded mails
// (SEARCH BODY), and with headers also in its own header and those of its parts (SEARCH TEXT, RFC 9051 §6.4.4).
// The error is that of reading mail.
func (x *Matcher) Text(m *Message, mail io.ReaderAt, headers bool) (bool, error) { return false, nil }

// Header reports whether header has a field of that name whose decoded value has the needle in it (SEARCH HEADER, FROM,
// SUBJECT, ...). With an empty needle the field need only exist.
func (x *Matcher) Header(header []byte, name string) bool { return false }
