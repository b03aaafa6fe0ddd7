package imapserver_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/auth"
	"github.com/starling-mail/starling/imapserver"
	"github.com/starling-mail/starling/imapserver/imaptest"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// A scriptedConn is the server's end of a connection whose client sends all it has, and then
// closes its side without hanging up. It needs no time.
type scriptedConn struct {
	fakeAddrs
	pace int // octets that one Read gives at most; 0: a line, like a client that waits

	mu  sync.Mutex
	in  string
	out strings.Builder
	end chan struct{} // closed with the connection
}

func (c *scriptedConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.in)
	if n == 0 {
		return 0, io.EOF
	}
	if i := strings.IndexByte(c.in, '\n'); c.pace == 0 && i >= 0 {
		n = i + 1
	}
	if c.pace > 0 {
		n = min(n, c.pace)
	}
	n = copy(p, c.in[:n])
	c.in = c.in[n:]
	return n, nil
}

func (c *scriptedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(p)
}

func (c *scriptedConn) output() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.String()
}

func (c *scriptedConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.end:
	default:
		close(c.end)
	}
	return nil
}

// fakeAddrs are addresses and deadlines, which nothing depends on.
type fakeAddrs struct{}

func (fakeAddrs) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 143} }
func (fakeAddrs) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4000} }
func (fakeAddrs) SetDeadline(time.Time) error      { return nil }
func (fakeAddrs) SetReadDeadline(time.Time) error  { return nil }
func (fakeAddrs) SetWriteDeadline(time.Time) error { return nil }

// oneUser lets everybody in as the one user, who is another for each input.
type oneUser struct{ atomic.Pointer[mailbox.User] }

func (*oneUser) Mechanisms() []string {
	return append(auth.Mechanisms(), auth.OAuthBearer, auth.XOAuth2)
}

func (u *oneUser) LoginAs(_ context.Context, _ netip.Addr, c auth.Credentials) (mailbox.User, error) {
	if c.Password != "secret" {
		return mailbox.User{}, auth.ErrCredentials
	}
	return *u.Load(), nil
}

// preludes bring a connection into each of its states.
var preludes = [...]string{
	"",
	"p LOGIN alice secret\r\n",
	"p LOGIN alice secret\r\np SELECT INBOX\r\n",
	"p LOGIN alice secret\r\np SELECT INBOX\r\np IDLE\r\n",
	"p LOGIN alice secret\r\np ENABLE IMAP4rev2 QRESYNC UTF8=ACCEPT\r\np SELECT INBOX\r\n",
}

// paces are how a client cuts what it sends.
var paces = [...]int{0, 1, 1 << 20}

// FuzzConnection sends hostile bytes in every state. Whatever they are, the server does not
// panic, says nothing but well-formed responses, and is done soon after the client is.
func FuzzConnection(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatal("no transcripts to begin with", err)
	}
	for _, file := range files {
		commands, err := transcriptCommands(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(2), commands)
	}
	for i, s := range hostileSeeds {
		f.Add(byte(i), s)
	}

	settings := imapserver.DefaultSettings()
	settings.AppendLimit = 1 << 16
	settings.Command.Discard = 1 << 16
	h := newHost(f, settings)
	users := &oneUser{}
	h.options.Auth = users
	first := h.server
	if h.server, err = imapserver.New(h.options); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { first.Shutdown(context.Background()) })
	ln := imaptest.NewListener()
	h.serve(ln, imapserver.ListenerOptions{})
	draft := h.draft("testdata/mime.eml")

	serial := 0
	f.Fuzz(func(t *testing.T, state byte, input string) {
		serial++
		u, err := h.store.AddUser(context.Background(), mailbox.User{Name: "u" + strconv.Itoa(serial), Admin: state >= 128}, []mailstore.NewMailbox{{Name: "Sent"}})
		if err != nil {
			t.Fatal(err)
		}
		info, err := h.store.Lookup(context.Background(), u.Account, "INBOX")
		if err == nil {
			_, err = h.store.Append(context.Background(), info.ID, []mailstore.Incoming{
				{Draft: draft}, {Draft: draft, Flags: mailbox.NewFlags(imap.FlagDeleted, "word")}, {Draft: draft},
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		users.Store(&u)

		n := int(state & 127)
		c := &scriptedConn{in: preludes[n%len(preludes)] + input, pace: paces[n/len(preludes)%len(paces)], end: make(chan struct{})}
		sent := c.in
		ln.Offer(c)
		select {
		case <-c.end:
		case <-time.After(patience):
			t.Fatalf("the server neither answers nor ends; it has said %q", c.output())
		}
		if err := checkResponses(c.output(), func(tag string) bool { return strings.Contains(sent, tag+" ") }); err != nil {
			t.Error(err)
		}
		h.noPanic(t)
	})
}

// draft receives the message in a file.
func (h *host) draft(file string) mailstore.Draft {
	h.t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		h.t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), "\n", "\r\n")
	d, err := h.store.Receive(context.Background(), strings.NewReader(text), 1<<20)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(d.Discard)
	return d
}

// transcriptCommands returns what the clients of a transcript send, as if they were one.
func transcriptCommands(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	var commands strings.Builder
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		if name, command, ok := strings.Cut(line, ": "); ok && len(name) == 1 {
			commands.WriteString(". " + command + "\r\n")
		} else if name, quoted, ok := strings.Cut(line, "! "); ok && len(name) == 1 {
			raw, err := strconv.Unquote(quoted)
			if err != nil {
				return "", fmt.Errorf("%s: %s: %w", file, line, err)
			}
			commands.WriteString(raw)
		}
	}
	return commands.String(), nil
}

// hostileSeeds are for the states in turn.
var hostileSeeds = [...]string{
	"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	"a APPEND INBOX {3}\r\nabc\r\nb APPEND INBOX {3+}\r\nabc\r\nc APPEND INBOX UTF8 (~{3+}\r\na\x00c)\r\n",
	"a FETCH 1:* (FLAGS BODY[HEADER.FIELDS (SUBJECT {4+}\r\nFrom)] BODY[1.MIME]<0.10> BINARY[1] BINARY.SIZE[2] RFC822.TEXT)\r\nb UID FETCH * ALL\r\n",
	"DONE\r\na IDLE\r\nDONE\r\nb IDLE\r\nNOOP\r\n",
	"a UID SEARCH RETURN (MIN MAX COUNT SAVE) OR NOT 1:2 (TEXT a) MODSEQ 1\r\nb FETCH $ (UID)\r\nc UID EXPUNGE $\r\nd STORE $ -FLAGS.SILENT (a b)\r\n",
	"a AUTHENTICATE PLAIN\r\n*\r\nb AUTHENTICATE LOGIN\r\nYQ==\r\nc2VjcmV0\r\nc AUTHENTICATE PLAIN AGEAc2VjcmV0\r\nd COMPRESS DEFLATE\r\n",
	"a LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (% *) RETURN (STATUS (MESSAGES SIZE) CHILDREN)\r\nb CREATE {3}\r\na/b\r\nc RENAME INBOX old\r\nd DELETE old\r\ne LSUB \"\" %\r\n",
	"a STORE 1:* (UNCHANGEDSINCE 1) +FLAGS (\\Deleted x)\r\nb EXPUNGE\r\nc UID MOVE 1:* Sent\r\nd UID COPY 1:* Sent\r\ne CLOSE\r\nf SELECT INBOX (QRESYNC (1 1 1:5 (1:2 1:2)))\r\n",
	"DON",
	"a UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)\r\nb MOVE 1 Sent\r\nc SELECT \"INBOX\" (CONDSTORE)\r\nd STATUS \"\xc3\xa9\" (UIDNEXT)\r\n",
	"a STARTTLS\r\nb LOGIN alice secret\r\n",
	"a SETQUOTA \"\" (STORAGE 10)\r\nb GETQUOTAROOT INBOX\r\nc ID (\"a\" NIL)\r\nd LOGOUT\r\ne NOOP\r\n",
}
