package conn_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/e2e/testhost"
	"github.com/starling-mail/starling/mailstore/upstream/conn"
)

// serveEnv makes this test binary the server of the benchmarks, so that only the client's memory
// is measured. Its value is a folder for a certificate and the addresses.
const serveEnv = "CONN_TEST_SERVER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(serveEnv); dir != "" {
		if err := serve(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serve is a server that says OK to everything, and has messages of as many octets as
// their UID. It ends with its standard input.
func serve(dir string) error {
	certFile, keyFile, err := testhost.SelfSigned(dir)
	if err != nil {
		return err
	}
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return err
	}
	for _, config := range []*tls.Config{nil, {Certificates: []tls.Certificate{cert}}} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		fmt.Println(ln.Addr())
		if config != nil {
			ln = tls.NewListener(ln, config)
		}
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				go answer(c)
			}
		}()
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func answer(c net.Conn) {
	defer c.Close()
	w := bufio.NewWriterSize(c, 64<<10)
	fmt.Fprint(w, "* OK [CAPABILITY IMAP4rev1 IDLE] hi\r\n")
	w.Flush()
	body := strings.Repeat(strings.Repeat("x", 74)+"\r\n", 20_000)
	idle := ""
	for r := bufio.NewReaderSize(c, 512); ; w.Flush() {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		tag, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		var n, uid int
		switch {
		case rest == "IDLE":
			idle = tag
			fmt.Fprint(w, "+ idling\r\n* OK waiting\r\n")
			continue
		case tag == "DONE":
			tag = idle
		case strings.Contains(rest, "BODY"):
			// UID FETCH 1:n,size (...)
			fmt.Sscanf(rest, "UID FETCH 1:%d,%d", &n, &uid)
			for i := range n {
				fmt.Fprintf(w, "* %d FETCH (UID %d FLAGS (\\Seen) BODY[] {%d}\r\n%s)\r\n", i+1, i+1, uid, body[:uid])
			}
		case strings.Contains(rest, "FLAGS"):
			fmt.Sscanf(rest, "UID FETCH 1:%d", &n)
			for i := range n {
				fmt.Fprintf(w, "* %d FETCH (UID %d FLAGS (\\Seen \\Answered $Forwarded) MODSEQ (%d))\r\n", i+1, 2*i+1, i+7)
			}
		}
		fmt.Fprintf(w, "%s OK done\r\n", tag)
	}
}

// benchServer starts the server of the benchmarks in a process of its own.
func benchServer(tb testing.TB) (plain, overTLS *conn.Dialer) {
	tb.Helper()
	exe, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(filepath.Clean(exe))
	cmd.Env = append(os.Environ(), serveEnv+"="+tb.TempDir())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			tb.Error(err)
		}
	})
	var addrs [2]string
	if _, err := fmt.Fscan(out, &addrs[0], &addrs[1]); err != nil {
		tb.Fatal(err)
	}
	return dialer(addrs[0], conn.Plain), dialer(addrs[1], conn.TLS)
}

func connect(tb testing.TB, d *conn.Dialer) *conn.Conn {
	tb.Helper()
	c, err := d.Dial(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return c
}

// BenchmarkFetchBody streams messages of one size; an operation is a message.
func BenchmarkFetchBody(b *testing.B) {
	plain, overTLS := benchServer(b)
	for name, d := range map[string]*conn.Dialer{"plain": plain, "TLS": overTLS} {
		for _, size := range []int{4 << 10, 64 << 10, 1 << 20} {
			b.Run(fmt.Sprintf("%s/%dKiB", name, size>>10), func(b *testing.B) {
				c := connect(b, d)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				m := &conn.Messages{}
				defer func() { m.Close() }()
				for b.Loop() {
					for !m.Next() {
						if err := m.Close(); err != nil {
							b.Fatal(err)
						}
						m = c.Fetch(b.Context(), conn.Fetch{UIDs: uids(1, 500, imap.UID(size), imap.UID(size)), Items: "BODY[]"})
					}
					for i := m.Item(); i != nil; i = m.Item() {
						if i.Body != nil {
							if n, err := io.Copy(io.Discard, i.Body); n != int64(size) || err != nil {
								b.Fatal(n, err)
							}
						}
					}
				}
			})
		}
	}
}

// BenchmarkFetchFlags reads UIDs, flags and mod-sequences; an operation is a message.
func BenchmarkFetchFlags(b *testing.B) {
	plain, _ := benchServer(b)
	c := connect(b, plain)
	b.ReportAllocs()
	m := &conn.Messages{}
	for b.Loop() {
		for !m.Next() {
			if err := m.Close(); err != nil {
				b.Fatal(err)
			}
			m = c.Fetch(b.Context(), conn.Fetch{UIDs: uids(1, 100_000), Items: "UID FLAGS MODSEQ"})
		}
		if row := m.Row(); row.UID == 0 || !row.HasFlags || row.ModSeq == 0 {
			b.Fatalf("%+v", row)
		}
	}
	m.Close()
}

// BenchmarkRoundTrip is one NOOP.
func BenchmarkRoundTrip(b *testing.B) {
	plain, _ := benchServer(b)
	c := connect(b, plain)
	b.ReportAllocs()
	for b.Loop() {
		do(b, c, &conn.Noop{})
	}
}

// BenchmarkIdleMemory measures what a connection in IDLE takes of this process, its goroutine included.
func BenchmarkIdleMemory(b *testing.B) {
	const connections = 500
	plain, overTLS := benchServer(b)
	for name, d := range map[string]*conn.Dialer{"plain": plain, "TLS": overTLS} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				before := inUse()
				until, done := context.WithCancel(b.Context())
				var idling, ended sync.WaitGroup
				var list []*conn.Conn
				for range connections {
					c, err := d.Dial(b.Context())
					if err != nil {
						b.Fatal(err)
					}
					list = append(list, c)
					idling.Add(1)
					c.Updates = func(conn.Update) { idling.Done() }
					ended.Go(func() {
						if err := c.Idle(context.Background(), until); err != nil {
							b.Error(err)
						}
					})
				}
				idling.Wait()
				b.ReportMetric(float64(inUse()-before)/connections, "B/conn")
				done()
				ended.Wait()
				for _, c := range list {
					c.Close()
				}
			}
		})
	}
}

// inUse is the memory in use: heap and stacks.
func inUse() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC() // pools are emptied by the second
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
