package lmtp

import (
	"crypto/rand"
	"net"
	"strings"
	"time"
	"unicode"
)

// A trace is what the header fields added to a message tell of its way.
type trace struct {
	id   string
	from string // the envelope's sender; empty for a notification
	helo string // what the client called itself; empty where there was none
	peer net.Addr
	host string
	utf8 bool // SMTPUTF8 was asked for
	when time.Time
}

func (s *Server) newTrace(from, helo string, peer net.Addr) trace {
	return trace{id: rand.Text()[:16], from: from, helo: helo, peer: peer, host: s.o.Hostname, when: time.Now()}
}

// header returns the fields for one recipient: Return-Path comes first and is
// added at final delivery (RFC 5321 §4.4); Delivered-To (RFC 9228) says by
// which address the message came, which no other field does for a blind copy.
func (t trace) header(recipient string) string {
	var b strings.Builder
	b.WriteString("Return-Path: <" + path(t.from) + ">\r\n")
	b.WriteString("Delivered-To: " + path(recipient) + "\r\n")
	b.WriteString("Received: ")
	if t.helo != "" {
		b.WriteString("from " + token(t.helo))
		if tcp, ok := t.peer.(*net.TCPAddr); ok {
			b.WriteString(" ([" + literal(tcp) + "])")
		}
		b.WriteString("\r\n\t")
	}
	b.WriteString("by " + token(t.host))
	if t.helo != "" {
		with := "LMTP"
		if t.utf8 {
			with = "UTF8LMTP" // RFC 6531 §4.3
		}
		b.WriteString(" with " + with)
	}
	b.WriteString(" id " + t.id + "\r\n\tfor <" + path(recipient) + ">; " + t.when.Format("Mon, 2 Jan 2006 15:04:05 -0700") + "\r\n")
	return b.String()
}

// literal writes an address as RFC 5321 §4.1.3 has it, without the brackets.
func literal(a *net.TCPAddr) string {
	if a.IP.To4() == nil {
		return "IPv6:" + a.IP.String()
	}
	return a.IP.String()
}

// path writes an address with its local part quoted where it must be (RFC 5321
// §4.1.2): go-smtp has taken the quotes off.
func path(address string) string {
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		i = len(address)
	}
	local := address[:i]
	if local == "" || !strings.ContainsAny(local, ` "(),:;<>@[\]`) && !strings.Contains("."+local+".", "..") {
		return address
	}
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(local)
	return `"` + quoted + `"` + address[i:]
}

// token makes what a client called itself safe to stand in a header field.
func token(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || strings.ContainsRune(` ()<>;\"`, r) {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), 255)]
}

// hasControl reports whether s has a control character: none may get into a
// header field, be it quoted.
func hasControl(s string) bool { return strings.ContainsFunc(s, unicode.IsControl) }
