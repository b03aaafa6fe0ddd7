package imapserver_test

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// checkResponses reports what is wrong with the octets that a server has sent: every
// response must be a line as RFC 9051 §9 has it, with its literals, and every tag one of tags.
// Behind the answer that begins TLS or compression nothing is looked at.
func checkResponses(out string, tags func(string) bool) error {
	for first := true; out != ""; first = false {
		r, rest, err := response(out)
		if err != nil {
			return fmt.Errorf("%w: %.200q", err, out)
		}
		if err := r.check(first, tags); err != nil {
			return fmt.Errorf("%w: %.200q", err, out[:len(out)-len(rest)])
		}
		if strings.Contains(r.text, " OK Begin TLS") || strings.Contains(r.text, " OK COMPRESS") {
			return nil
		}
		if out = rest; strings.HasPrefix(r.text, "* BYE") && strings.Count(rest, "\r\n") > 1 {
			return fmt.Errorf("more than one line after %q: %.200q", r.text, rest)
		}
	}
	return nil
}

// A line is one response with a blank for each literal.
type line struct{ text string }

var literalAtEnd = regexp.MustCompile(`~?\{(\d{1,9})\}$`)

// response takes the first response from out.
func response(out string) (r line, rest string, err error) {
	for {
		text, after, ok := strings.Cut(out, "\r\n")
		if !ok {
			return r, "", errors.New("no CRLF at the end")
		}
		if strings.ContainsAny(text, "\r\n\x00") {
			return r, "", errors.New("CR, LF or NUL in a line")
		}
		m := literalAtEnd.FindStringSubmatch(text)
		if m == nil || strings.HasPrefix(text, "* OK ") || !strings.HasPrefix(r.text+text, "* ") {
			r.text += text
			return r, after, nil
		}
		n, _ := strconv.Atoi(m[1])
		if n > len(after) {
			return r, "", errors.New("literal cut short")
		}
		if !strings.HasPrefix(m[0], "~") && strings.Contains(after[:n], "\x00") {
			return r, "", errors.New("NUL in a literal")
		}
		r.text += strings.TrimSuffix(text, m[0]) + `""`
		out = after[n:]
	}
}

var (
	statusResponse = regexp.MustCompile(`^(OK|NO|BAD|BYE|PREAUTH) (\[[A-Z][A-Z0-9-]*( [^\]]+)?\] )?[^\r\n]+$`)
	numberResponse = regexp.MustCompile(`^(0|[1-9][0-9]{0,9}) (EXISTS|RECENT)$|^[1-9][0-9]{0,9} (EXPUNGE$|FETCH \(.+\)$)`)
	setResponse    = regexp.MustCompile(`^VANISHED (\(EARLIER\) )?[1-9][0-9:,]*$|^SEARCH( [1-9][0-9]*)*( \(MODSEQ [1-9][0-9]*\))?$`)
	dataResponse   = regexp.MustCompile(`^(CAPABILITY|ENABLED|FLAGS|LIST|LSUB|STATUS|NAMESPACE|ID|ESEARCH|QUOTA|QUOTAROOT)( |$)`)
)

func (r line) check(first bool, tags func(string) bool) error {
	kind, text, ok := strings.Cut(r.text, " ")
	switch {
	case kind == "+" && ok:
		return nil // a challenge may be empty
	case !ok || text == "":
		return errors.New("no response")
	case first && !(kind == "*" && (strings.HasPrefix(text, "OK ") || strings.HasPrefix(text, "BYE "))):
		return errors.New("no greeting")
	case kind != "*":
		if !tags(kind) {
			return errors.New("nobody has used this tag")
		}
		if !statusResponse.MatchString(text) || strings.HasPrefix(text, "BYE") {
			return errors.New("no tagged response")
		}
		return nil
	case statusResponse.MatchString(text), numberResponse.MatchString(text) && !strings.Contains(text, "FETCH"), setResponse.MatchString(text):
		return nil
	case numberResponse.MatchString(text), dataResponse.MatchString(text):
		return balanced(text)
	}
	return errors.New("unknown response")
}

// balanced checks that parentheses match, quotes are closed, and 8-bit octets and doubled or
// trailing spaces stand in quotes only.
func balanced(text string) error {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			if i++; i == len(text) || text[i] != '\\' && text[i] != '"' {
				return errors.New("bad escape")
			}
		case c == '"':
			quoted = !quoted
		case quoted:
		case c >= 0x7f || c < ' ':
			return errors.New("octet that may stand in quotes only")
		case c == ' ' && (i+1 == len(text) || text[i+1] == ' ' || text[i+1] == ')'):
			return errors.New("a space too many")
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth < 0 {
				return errors.New("parenthesis closed that was not open")
			}
		}
	}
	if quoted || depth != 0 {
		return errors.New("not closed")
	}
	return nil
}

// TestCheckResponses checks the checker.
func TestCheckResponses(t *testing.T) {
	const hello = "* OK [CAPABILITY IMAP4rev1] hello\r\n"
	tags := func(tag string) bool { return tag == "a" }
	for _, good := range []string{
		"", hello, hello + "+ \r\na OK [READ-ONLY] done\r\n", "* BYE too many\r\n", hello + "* BYE bye\r\na OK LOGOUT completed\r\n",
		hello + "* 1 FETCH (UID 1 BODY[] {4}\r\n\r\n)( FLAGS (\\Seen))\r\n", hello + "* 1 FETCH (BINARY[1] ~{1}\r\n\x00)\r\n",
		hello + "* LIST (\\Noselect) \"/\" \"a \\\" ( b\"\r\n", hello + "* SEARCH 1 2 (MODSEQ 3)\r\n* VANISHED (EARLIER) 1:2,4\r\n",
		hello + "a OK Begin TLS negotiation now\r\n\x15\x03",
	} {
		if err := checkResponses(good, tags); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"* 1 EXISTS\r\n", "a OK\r\n", hello + "a OK \r\n", hello + "b OK done\r\n", hello + "a OK [ALERT done\n", hello + "* 0 FETCH (UID 1)\r\n",
		hello + "* 1 FETCH (UID 1\r\n", hello + "* 1 FETCH (UID 1))\r\n", hello + "* 1 FETCH (UID  1)\r\n", hello + "* 1 FETCH (BODY[] {5}\r\nabc)\r\n",
		hello + "* 1 FETCH (BODY[] {1}\r\n\x00)\r\n", hello + "* LIST () \"/\" \"a\r\n", hello + "* LIST () \"/\" \xc3\xa9\r\n", hello + "* 1 FETCH ()\r\n",
		hello + "* BYE a\r\n* 1 EXISTS\r\n* 2 EXISTS\r\n", hello + "* NEWS\r\n", hello + "a BYE x\r\n", hello + "* SEARCH 0\r\n", hello + "*\r\n", hello + "* OK half",
	} {
		if checkResponses(bad, tags) == nil {
			t.Errorf("nothing wrong with %q", bad)
		}
	}
}
