// Package dovecot starts Debian's Dovecot on free loopback ports, with a
// configuration, users and mail of its own in a temporary folder, beside
// whatever Dovecot the machine runs.
package dovecot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/starling-mail/starling/e2e/testhost"
)

// Config says what Dovecot is to be like.
type Config struct {
	Users     []string      // names; every user has the password below
	Password  string        // stored plain
	Format    string        // "maildir" (the default) or "sdbox"
	Hibernate time.Duration // imap_hibernate_timeout, whole seconds; 0: no hibernation
	Clients   int           // most connections at a time; 0: 1,000
	NoIdle    bool          // IDLE is not announced
	Reuse     int           // connections that an imap process serves, one after the other; 0: 1
}

// A Server is a running Dovecot.
type Server struct {
	*testhost.Process
	IMAP     string // host:port, plain and STARTTLS
	IMAPS    string // host:port, TLS
	CertFile string // self-signed, PEM
	dir      string
	mailUser string // whose the mail is, of the system's users
}

// ErrMissing is returned where Dovecot is not installed.
var ErrMissing = errors.New("dovecot is not installed (Debian packages dovecot-imapd, dovecot-core)")

// binary is where Debian has it; /usr/sbin is not in everybody's PATH.
const binary = "/usr/sbin/dovecot"

// Version is the installed Dovecot's, as "2.3.19.1".
func Version() (string, error) {
	out, err := exec.Command(binary, "--version").Output()
	if errors.Is(err, os.ErrNotExist) {
		return "", ErrMissing
	}
	version, _, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	return version, err
}

// Start starts Dovecot and returns when it answers. The caller must Close it.
func Start(ctx context.Context, c Config) (*Server, error) {
	if _, err := os.Stat(binary); err != nil {
		return nil, ErrMissing
	}
	dir, err := os.MkdirTemp("", "dovecot")
	if err != nil {
		return nil, err
	}
	s, err := start(ctx, c, dir)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

func start(ctx context.Context, c Config, dir string) (*Server, error) {
	s := &Server{dir: dir}
	processes := max(c.Clients, 1000)
	f := configuration{
		Dir: dir, Hibernate: seconds(c.Hibernate), NoIdle: c.NoIdle, Reuse: max(c.Reuse, 1),
		Clients: processes + 100, Processes: processes, // each process is a client of auth and anvil
	}
	var err error
	for _, step := range []func() error{
		func() (err error) { s.IMAP, err = testhost.FreeAddr(); return },
		func() (err error) { s.IMAPS, err = testhost.FreeAddr(); return },
		func() (err error) { f.Cert, f.Key, err = testhost.SelfSigned(dir); return },
		func() (err error) { f.Internal, f.Login, f.Mail, err = systemUsers(); return },
		func() (err error) { f.Location, err = location(c.Format); return },
		func() error { return folders(dir, f.Mail) },
	} {
		if err = step(); err != nil {
			return nil, err
		}
	}
	s.CertFile, s.mailUser = f.Cert, f.Mail
	_, f.IMAP, _ = net.SplitHostPort(s.IMAP)
	_, f.IMAPS, _ = net.SplitHostPort(s.IMAPS)
	var text bytes.Buffer
	if err := conf.Execute(&text, f); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "dovecot.conf")
	if err := errors.Join(
		os.WriteFile(file, text.Bytes(), 0o644),
		os.WriteFile(filepath.Join(dir, "users"), []byte(usersFile(c.Users, c.Password)), 0o644),
	); err != nil {
		return nil, err
	}
	s.Process, err = testhost.Start(ctx, []testhost.Endpoint{{Network: "tcp", Addr: s.IMAP}, {Network: "tcp", Addr: s.IMAPS}},
		binary, "-F", "-c", file)
	return s, err
}

// Mail is the folder of a user's Maildir.
func (s *Server) Mail(name string) string { return filepath.Join(s.dir, "mail", name, "Maildir") }

// SetMail makes a copy of a folder, with its times, the Maildir of a user who
// has none yet.
func (s *Server) SetMail(name, folder string) error {
	uid, gid, err := owner(s.mailUser)
	if err != nil {
		return err
	}
	if err := os.CopyFS(s.Mail(name), os.DirFS(folder)); err != nil {
		return err
	}
	home := filepath.Dir(s.Mail(name))
	return filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Type().IsRegular() {
			info, err := os.Stat(filepath.Join(folder, strings.TrimPrefix(path, s.Mail(name))))
			if err != nil {
				return err
			}
			if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
				return err
			}
		}
		return os.Chown(path, uid, gid)
	})
}

// folders makes dir passable for Dovecot's users and its mail folder the mail
// user's own.
func folders(dir, mailUser string) error {
	mail := filepath.Join(dir, "mail")
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(mail, 0o755), os.Mkdir(filepath.Join(dir, "run"), 0o755)); err != nil {
		return err
	}
	uid, gid, err := owner(mailUser)
	if err != nil {
		return err
	}
	return os.Chown(mail, uid, gid)
}

func owner(name string) (uid, gid int, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, fmt.Errorf("mail user: %w", err)
	}
	uid, _ = strconv.Atoi(u.Uid)
	gid, _ = strconv.Atoi(u.Gid)
	return uid, gid, nil
}

// Close stops Dovecot and removes its folder.
func (s *Server) Close() error {
	return errors.Join(s.Stop(20*time.Second), os.RemoveAll(s.dir))
}
