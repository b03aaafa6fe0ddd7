package message

const (
	maxParams    = 100 // of one field
	maxLanguages = 32
	maxToken     = 127 // RFC 6838 §4.2
	paramCost    = 40  // what a Param takes beside its text, charged to Limits.Total
)

// content reads the Content-* fields into part, and returns the boundary of a multipart.
func (h *header) content(part *Part, inDigest bool) (boundary []byte) {
	value := h.value(fieldContentType)
	s := scanner{b: value}
	typ := s.token()
	var subtype []byte
	if s.skip('/') {
		subtype = s.token()
	}
	switch {
	case len(typ) > 0 && len(subtype) > 0 && len(typ) <= maxToken && len(subtype) <= maxToken:
		part.Type, part.Subtype = lowerToken(typ), lowerToken(subtype)
		part.Params = s.params()
	case value == nil && inDigest:
		part.Type, part.Subtype = "message", "rfc822"
	default:
		part.Type, part.Subtype = "text", "plain"
		part.Params = s.params() // a charset may be right where the type is wrong
		if part.Params == nil {
			part.Params = defaultParams()
		}
	}

	s = scanner{b: h.value(fieldContentEncoding)}
	part.Encoding = "7bit"
	if token := s.token(); len(token) > 0 {
		part.Encoding = lowerToken(token[:min(len(token), maxToken)])
	}

	if value := h.value(fieldContentDisposition); value != nil {
		s = scanner{b: value}
		token := s.token()
		part.Disposition = lowerToken(token[:min(len(token), maxToken)])
		part.DispositionParams = s.params()
		if part.Disposition == "" && part.DispositionParams != nil {
			part.Disposition = "attachment" // as RFC 2183 §2.8 has it for an unknown one
		}
	}

	s = scanner{b: h.value(fieldContentLanguage)}
	for len(part.Language) < maxLanguages {
		token := s.token()
		if len(token) > 0 {
			part.Language = append(part.Language, string(token))
		}
		if !s.skip(',') {
			break
		}
	}

	part.ID = string(h.value(fieldContentID))
	part.Description = string(h.value(fieldContentDescription))
	part.Location = string(h.value(fieldContentLocation))
	part.MD5 = string(h.value(fieldContentMD5))

	if part.IsMultipart() {
		boundary = []byte(part.Param("boundary"))
	}
	return boundary
}

// A scanner reads the structured fields of MIME (RFC 2045 §5.1) as far as they make sense.
type scanner struct {
	b []byte // what is left
}

// space skips white space and comments.
func (s *scanner) space() {
	for len(s.b) > 0 {
		switch s.b[0] {
		case ' ', '\t':
			s.b = s.b[1:]
		case '(':
			_, s.b = comment(s.b, nil)
		default:
			return
		}
	}
}

// skip skips c, with the space before it, and reports whether it was there.
func (s *scanner) skip(c byte) bool {
	s.space()
	if len(s.b) == 0 || s.b[0] != c {
		return false
	}
	s.b = s.b[1:]
	return true
}

// token reads a token, which may be empty, with the space before it.
func (s *scanner) token() []byte {
	s.space()
	i := 0
	for i < len(s.b) && isTokenByte(s.b[i]) {
		i++
	}
	token := s.b[:i]
	s.b = s.b[i:]
	return token
}

// params reads what follows of ";name=value", skipping what is not.
func (s *scanner) params() []Param {
	var params []Param
	for len(params) < maxParams && s.semicolon() {
		name := s.token()
		if len(name) == 0 || !s.skip('=') {
			continue
		}
		params = append(params, Param{sharedString(name), s.value()})
	}
	return params
}

// semicolon skips up to and with the next semicolon outside quotes.
func (s *scanner) semicolon() bool {
	for len(s.b) > 0 {
		switch s.b[0] {
		case ';':
			s.b = s.b[1:]
			return true
		case '"':
			_, s.b = quoted(s.b, nil)
		case '(':
			_, s.b = comment(s.b, nil)
		default:
			s.b = s.b[1:]
		}
	}
	return false
}

// value reads a parameter's value. One that should have been quoted is taken up to the semicolon.
func (s *scanner) value() string {
	s.space()
	if len(s.b) > 0 && s.b[0] == '"' {
		var text []byte
		text, s.b = quoted(s.b, nil)
		return sharedString(text)
	}
	i, last := 0, 0
	for ; i < len(s.b) && s.b[i] != ';'; i++ {
		if c := s.b[i]; c == '(' && last > 0 && last < i {
			break // a comment after the value
		} else if c != ' ' && c != '\t' {
			last = i + 1
		}
	}
	text := s.b[:last]
	s.b = s.b[i:]
	return sharedString(text)
}

// quoted reads the quoted string that b starts with, to its end or the end of b, and appends what it says to dst.
func quoted(b, dst []byte) (text, rest []byte) {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '"':
			return dst, b[i+1:]
		case '\\':
			if i++; i == len(b) {
				return dst, nil
			}
		}
		dst = append(dst, b[i])
	}
	return dst, nil
}

// comment reads the comment that b starts with, likewise. Comments within are part of it.
func comment(b, dst []byte) (text, rest []byte) {
	depth := 1
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return dst, b[i+1:]
			}
		case '\\':
			if i++; i == len(b) {
				return dst, nil
			}
		}
		dst = append(dst, b[i])
	}
	return dst, nil
}

func isTokenByte(c byte) bool {
	switch c {
	case '(', ')', '<', '>', '@', ',', ';', ':', '\\', '"', '/', '[', ']', '?', '=':
		return false
	}
	return c > ' ' && c < 0x7f
}

// lowerToken returns the token in lower case.
func lowerToken(token []byte) string {
	var buf [maxToken]byte
	return sharedString(appendLower(buf[:0], token))
}

// sharedString returns b as a string, without allocating for what nearly every mail says.
func sharedString(b []byte) string {
	switch string(b) {
	case "text":
		return "text"
	case "plain":
		return "plain"
	case "html":
		return "html"
	case "multipart":
		return "multipart"
	case "mixed":
		return "mixed"
	case "alternative":
		return "alternative"
	case "related":
		return "related"
	case "message":
		return "message"
	case "rfc822":
		return "rfc822"
	case "image":
		return "image"
	case "application":
		return "application"
	case "7bit":
		return "7bit"
	case "8bit":
		return "8bit"
	case "base64":
		return "base64"
	case "quoted-printable":
		return "quoted-printable"
	case "charset":
		return "charset"
	case "utf-8":
		return "utf-8"
	case "UTF-8":
		return "UTF-8"
	case "us-ascii":
		return "us-ascii"
	case "boundary":
		return "boundary"
	case "name":
		return "name"
	case "filename":
		return "filename"
	case "attachment":
		return "attachment"
	case "inline":
		return "inline"
	}
	return string(b)
}
