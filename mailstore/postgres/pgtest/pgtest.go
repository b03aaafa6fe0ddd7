//go:build unix

// Package pgtest runs throw-away PostgreSQL servers, for tests and
// demonstrations. It uses the server programs that Debian's package postgresql installs.
package pgtest

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrMissing says that PostgreSQL's server programs are not installed.
var ErrMissing = errors.New("PostgreSQL's server is not installed (Debian: apt-get install postgresql)")

// startTime is how long a server may take to start.
const startTime = 60 * time.Second

// A Server is a PostgreSQL server on a loopback port. Its data are durable as
// in service (fsync is on), until Close removes them. Its methods are for one goroutine.
type Server struct {
	bin, dir string
	port     int
	password string
	attr     *syscall.SysProcAttr
	settings []string
	log      *os.File
	cmd      *exec.Cmd
	exited   chan struct{} // closed when cmd has ended
}

// binDir finds the folder with initdb and postgres: on the PATH, or the newest
// where Debian puts them.
func binDir() (string, error) {
	if p, err := exec.LookPath("initdb"); err == nil {
		p, err = filepath.EvalSymlinks(p) // to where the other programs are
		return filepath.Dir(p), err
	}
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(dirs) == 0 {
		return "", ErrMissing
	}
	version := func(p string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(p))))
		return n
	}
	return filepath.Dir(slices.MaxFunc(dirs, func(a, b string) int { return version(a) - version(b) })), nil
}

// Installed reports whether there are server programs for Start.
func Installed() bool {
	_, err := binDir()
	return err == nil
}

// Start makes a new server in a temporary folder and starts it. Settings are
// further lines of its configuration ("log_statement = all"). The error is ErrMissing where there is no
// PostgreSQL. As PostgreSQL refuses to run as root, root starts it as the user postgres or nobody.
func Start(settings ...string) (_ *Server, err error) {
	s := &Server{settings: settings, attr: procAttr()}
	if s.bin, err = binDir(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "starling-postgres-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if os.Geteuid() == 0 {
		if err := s.drop(); err != nil {
			return nil, err
		}
	}
	secret := make([]byte, 16)
	rand.Read(secret)
	s.password = hex.EncodeToString(secret)
	if err := s.init(); err != nil {
		return nil, err
	}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	if s.log, err = os.Create(filepath.Join(s.dir, "log")); err != nil {
		return nil, err
	}
	return s, s.Run()
}

// Tool returns a command that runs one of PostgreSQL's client programs, such as
// pg_dump, against the server.
func (s *Server) Tool(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, program), args...)
	cmd.Dir, cmd.SysProcAttr = s.dir, s.attr
	cmd.Env = append(os.Environ(), "PGHOST=127.0.0.1", "PGPORT="+strconv.Itoa(s.port), "PGUSER=starling", "PGPASSWORD="+s.password)
	return cmd
}

// Standby makes a streaming standby of a running server and starts it. "SELECT
// pg_promote()" ends its being one. Settings are as for Start.
func (s *Server) Standby(settings ...string) (_ *Server, err error) {
	b := &Server{bin: s.bin, password: s.password, attr: s.attr, settings: settings}
	if b.dir, err = os.MkdirTemp("", "starling-postgres-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	if c := s.attr.Credential; c != nil {
		if err := os.Chown(b.dir, int(c.Uid), int(c.Gid)); err != nil {
			return nil, err
		}
	}
	if out, err := s.Tool("pg_basebackup", "-D", b.data(), "-R", "-c", "fast", "--no-sync").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("pg_basebackup: %w: %s", err, out)
	}
	if b.port, err = freePort(); err != nil {
		return nil, err
	}
	if b.log, err = os.Create(filepath.Join(b.dir, "log")); err != nil {
		return nil, err
	}
	return b, b.Run()
}

// drop has the server run as another user than root.
func (s *Server) drop() error {
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return err
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return err
	}
	s.attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(s.dir, int(uid), int(gid))
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// init makes the data folder.
func (s *Server) init() error {
	secret := filepath.Join(s.dir, "password")
	if err := os.WriteFile(secret, []byte(s.password), 0o644); err != nil { // in a folder that others cannot enter
		return err
	}
	defer os.Remove(secret)
	cmd := exec.Command(filepath.Join(s.bin, "initdb"), "-D", s.data(), "-U", "starling", "--pwfile="+secret,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	cmd.Dir, cmd.SysProcAttr = s.dir, s.attr
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

// freePort finds a loopback port that nobody uses now.
func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

// Addr returns the server's address and port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// URL returns the address of a database of the server, for the user that owns
// the server. The database "postgres" is always there.
func (s *Server) URL(database string) string {
	return (&url.URL{Scheme: "postgres", User: url.UserPassword("starling", s.password), Host: s.Addr(), Path: database, RawQuery: "sslmode=disable"}).String()
}

// Run starts the server again after Stop or Kill, and waits until it answers.
func (s *Server) Run() error {
	args := []string{"-D", s.data(), "-p", strconv.Itoa(s.port), "-h", "127.0.0.1", "-k", ""}
	// Vacuum comes by itself in service; here it would only make two runs of a test differ.
	for _, set := range append([]string{"autovacuum=off", "max_connections=200", "shared_buffers=64MB"}, s.settings...) {
		args = append(args, "-c", set)
	}
	s.cmd = exec.Command(filepath.Join(s.bin, "postgres"), args...)
	s.cmd.Dir, s.cmd.SysProcAttr, s.cmd.Stdout, s.cmd.Stderr = s.dir, s.attr, s.log, s.log
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		return err
	}
	exited := make(chan struct{})
	s.exited = exited
	go func(cmd *exec.Cmd) {
		cmd.Wait() // how it ended is seen by those who talk to it
		close(exited)
	}(s.cmd)
	return s.ready()
}

// ready waits until the server says so in its pid file: the status is its
// eighth line.
func (s *Server) ready() error {
	deadline := time.After(startTime)
	for {
		b, _ := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
		if lines := strings.Split(string(b), "\n"); len(lines) >= 8 && slices.Contains([]string{"ready", "standby"}, strings.TrimSpace(lines[7])) && lines[0] == strconv.Itoa(s.cmd.Process.Pid) {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("postgres ended at once: %s", s.tail())
		case <-deadline:
			return fmt.Errorf("postgres did not start: %s", s.tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// tail returns the end of the server's log.
func (s *Server) tail() []byte {
	b, _ := os.ReadFile(s.log.Name())
	if i := len(b) - 2000; i > 0 {
		b = b[i:]
	}
	return bytes.TrimSpace(b)
}

// Stop shuts the server down in order ("fast": clients are sent away).
func (s *Server) Stop() error { return s.end(syscall.SIGINT) }

// Kill stops the server as a crash would: it recovers when it runs again.
func (s *Server) Kill() error { return s.end(syscall.SIGQUIT) }

func (s *Server) end(sig os.Signal) error {
	if s.cmd == nil {
		return nil
	}
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.exited:
	case <-time.After(startTime):
		s.cmd.Process.Kill()
		<-s.exited
	}
	s.cmd = nil
	return nil
}

// Pid returns the process id of the running server, whose children serve one
// connection each.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Close stops the server and removes its folder.
func (s *Server) Close() error {
	err := s.Kill()
	if s.log != nil {
		s.log.Close()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
