// Package courier serves mail with Debian's Courier IMAP, a server of few extensions: no
// IDLE, no CONDSTORE, no ESEARCH, no LITERAL+.
//
// Courier's own login needs daemons and sockets at fixed places. Its imapd, however, is a
// program that serves one client who is logged in on its standard input and output. This
// package listens, checks the password, and runs imapd behind it.
package courier

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// Folder is where scripts/install-test-packages unpacks Courier, which cannot be installed
// beside Dovecot.
const Folder = "/opt/starling-tests/courier-imap"

// ErrMissing is returned where Courier was not unpacked.
var ErrMissing = errors.New("courier-imap is not in " + Folder + " (run scripts/install-test-packages)")

// capability is what imapd may tell and do; it adds ENABLE and UTF8=ACCEPT.
const capability = "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE QUOTA"

// Config says who may log in.
type Config struct {
	Users    []string
	Password string
}

// A Server is a listening Courier.
type Server struct {
	IMAP   string // host:port, plain
	dir    string
	config Config
	ln     net.Listener
	stop   context.CancelFunc
	served sync.WaitGroup
}

// Start begins to serve. The caller must Close it.
func Start(ctx context.Context, c Config) (*Server, error) {
	if _, err := os.Stat(Folder + "/usr/bin/imapd"); err != nil {
		return nil, ErrMissing
	}
	dir, err := os.MkdirTemp("", "courier")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, config: c}
	for _, u := range c.Users {
		for _, sub := range []string{"cur", "new", "tmp"} {
			err = errors.Join(err, os.MkdirAll(filepath.Join(dir, u, "Maildir", sub), 0o700))
		}
	}
	if err == nil {
		s.ln, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s.IMAP = s.ln.Addr().String()
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.served.Go(func() { s.accept(ctx) })
	return s, nil
}

// Close ends all connections and removes the mail.
func (s *Server) Close() error {
	s.stop()
	s.ln.Close()
	s.served.Wait()
	return os.RemoveAll(s.dir)
}

// Mail is the folder of a user's Maildir.
func (s *Server) Mail(user string) string { return filepath.Join(s.dir, user, "Maildir") }

func (s *Server) accept(ctx context.Context) {
	for {
		c, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.served.Go(func() {
			defer c.Close()
			defer context.AfterFunc(ctx, func() { c.Close() })()
			s.serve(ctx, c)
		})
	}
}

// serve takes the commands of before a login, and hands the rest to imapd.
func (s *Server) serve(ctx context.Context, c net.Conn) {
	fmt.Fprintf(c, "* OK [CAPABILITY %s] Courier-IMAP ready.\r\n", capability)
	for r := bufio.NewReader(c); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		tag, command, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		name, args, _ := strings.Cut(command, " ")
		switch strings.ToUpper(name) {
		case "CAPABILITY":
			fmt.Fprintf(c, "* CAPABILITY %s\r\n%s OK CAPABILITY completed\r\n", capability, tag)
		case "NOOP":
			fmt.Fprintf(c, "%s OK NOOP completed\r\n", tag)
		case "LOGOUT":
			fmt.Fprintf(c, "* BYE bye\r\n%s OK LOGOUT completed\r\n", tag)
			return
		case "LOGIN":
			user, ok := s.check(args)
			if !ok {
				fmt.Fprintf(c, "%s NO Login failed.\r\n", tag)
				continue
			}
			s.imapd(ctx, user, r, &welcome{w: c, say: tag + " OK LOGIN Ok.\r\n"})
			return
		default:
			fmt.Fprintf(c, "%s NO Error in IMAP command received by server.\r\n", tag)
		}
	}
}

// check reads the arguments of LOGIN, quoted or atoms without spaces.
func (s *Server) check(args string) (user string, ok bool) {
	user, password, _ := strings.Cut(args, " ")
	user, password = strings.Trim(user, `"`), strings.Trim(password, `"`)
	for _, u := range s.config.Users {
		ok = ok || u == user
	}
	return user, ok && password == s.config.Password
}

// imapd runs Courier's server until it or the client ends.
func (s *Server) imapd(ctx context.Context, user string, in io.Reader, out io.Writer) {
	cmd := exec.CommandContext(ctx, Folder+"/usr/bin/imapd", "Maildir")
	cmd.Dir = filepath.Join(s.dir, user)
	cmd.Env = []string{
		"LD_LIBRARY_PATH=" + Folder + "/usr/lib:" + Folder + "/usr/lib/x86_64-linux-gnu:" + Folder + "/usr/lib/aarch64-linux-gnu",
		"IMAP_CAPABILITY=" + capability, "IMAP_CHECK_ALL_FOLDERS=0", "IMAP_USELOCKS=0", "IMAP_ENHANCEDIDLE=0", "IMAP_EMPTYTRASH=", "HOME=" + cmd.Dir,
	}
	cmd.Stdout = out
	stdin, err := cmd.StdinPipe()
	if err != nil || cmd.Start() != nil {
		return
	}
	s.served.Go(func() {
		defer stdin.Close()
		_, _ = io.Copy(stdin, in)
	})
	_ = cmd.Wait()
}

// A welcome puts the reply to LOGIN in the place of imapd's greeting, which says PREAUTH.
type welcome struct {
	w    io.Writer
	say  string
	head []byte
	done bool
}

func (w *welcome) Write(p []byte) (int, error) {
	if w.done {
		return w.w.Write(p)
	}
	w.head = append(w.head, p...)
	_, rest, ok := bytes.Cut(w.head, []byte("* PREAUTH"))
	_, rest, eol := bytes.Cut(rest, []byte("\n"))
	if !ok || !eol {
		return len(p), nil
	}
	w.done = true
	if _, err := io.WriteString(w.w, w.say+string(rest)); err != nil {
		return 0, err
	}
	return len(p), nil
}
