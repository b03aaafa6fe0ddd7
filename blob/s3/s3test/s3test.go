// Package s3test runs a throw-away S3 server on a loopback port, for tests and
// demonstrations. The server is Versity's gateway, which keeps objects as files.
package s3test

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Version of the gateway that Install builds.
const Version = "v1.8.0"

// program is its Go package.
const program = "github.com/versity/versitygw/cmd/versitygw"

// ErrMissing says that the gateway is neither on the PATH nor built by Install.
var ErrMissing = errors.New("the S3 server versitygw is not installed (go install " + program + "@" + Version + ")")

// startTime is how long the server may take to start.
const startTime = 30 * time.Second

// A Server is a running S3 server with one bucket. Its methods are for one
// goroutine.
type Server struct {
	Endpoint             string // host:port, plain HTTP
	Bucket               string
	AccessKey, SecretKey string

	bin    string
	dir    string
	cmd    *exec.Cmd
	exited chan struct{}
}

// cached is where Install puts the gateway.
func cached() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "starling", "versitygw-"+Version, "versitygw"), nil
}

func find() (string, error) {
	if p, err := exec.LookPath("versitygw"); err == nil {
		return p, nil
	}
	p, err := cached()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(p); err != nil {
		return "", ErrMissing
	}
	return p, nil
}

// Install builds the gateway, if it is not there, in the user's cache. It takes
// some minutes and the module proxy.
func Install() error {
	if _, err := find(); !errors.Is(err, ErrMissing) {
		return err
	}
	p, err := cached()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
		return err
	}
	cmd := exec.Command("go", "install", program+"@"+Version)
	cmd.Env = append(os.Environ(), "GOBIN="+filepath.Dir(p), "GOFLAGS=-mod=mod")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go install %s: %w: %s", program, err, out)
	}
	return nil
}

// Start starts a server over a new folder.
func Start() (_ *Server, err error) {
	bin, err := find()
	if err != nil {
		return nil, err
	}
	s := &Server{Bucket: "mail", AccessKey: "starling"}
	secret := make([]byte, 16)
	rand.Read(secret)
	s.SecretKey = hex.EncodeToString(secret)
	if s.dir, err = os.MkdirTemp("", "starling-s3-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := os.Mkdir(filepath.Join(s.dir, s.Bucket), 0o700); err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.Endpoint = ln.Addr().String()
	ln.Close()
	s.bin = bin
	return s, s.Run()
}

// Run starts the server again after Stop, and waits until it answers.
func (s *Server) Run() error {
	cmd := exec.Command(s.bin, "--port", s.Endpoint, "--quiet", "posix", s.dir)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.AccessKey, "ROOT_SECRET_KEY="+s.SecretKey)
	cmd.SysProcAttr = procAttr()
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	s.cmd, s.exited = cmd, exited
	go func() {
		cmd.Wait()
		close(exited)
	}()
	return s.ready()
}

// ready waits until the server answers, whatever it says.
func (s *Server) ready() error {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	deadline := time.After(startTime)
	for {
		resp, err := client.Get("http://" + s.Endpoint + "/")
		if err == nil {
			return resp.Body.Close()
		}
		select {
		case <-s.exited:
			return errors.New("versitygw ended at once")
		case <-deadline:
			return fmt.Errorf("versitygw did not start: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop stops the server as a crash would; what it has stored stays.
func (s *Server) Stop() {
	if s.cmd != nil {
		s.cmd.Process.Kill()
		<-s.exited
		s.cmd = nil
	}
}

// Close stops the server and removes its folder.
func (s *Server) Close() error {
	s.Stop()
	return os.RemoveAll(s.dir)
}
