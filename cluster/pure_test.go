package cluster

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/eventbus/codec"
	"github.com/starling-mail/starling/mailbox"
)

func TestParseKeys(t *testing.T) {
	a, b := NewKey(), NewKey()
	got, err := ParseKeys([]byte("# ours\n\n" + a.String() + "\r\n  " + b.String() + "\n"))
	if err != nil || !slices.Equal(got, []Key{a, b}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{
		"", "# none\n", "secret", strings.Repeat("A", 44), a.String()[:40] + "\n", a.String() + "\n" + a.String(), Key{}.String(),
		a.String() + a.String(), strings.Repeat("x", 100_000),
		a.String()[:len(a.String())-4] + "\n", strings.Repeat(NewKey().String()+"\n"+NewKey().String()+"\n", 5),
	} {
		if _, err := ParseKeys([]byte(bad)); err == nil {
			t.Errorf("%.60q are keys", bad)
		} else if strings.Contains(err.Error(), a.String()[:10]) {
			t.Errorf("the error shows a key: %v", err)
		}
	}
}

func TestOptions(t *testing.T) {
	good := Options{Name: "n1.example.org", Cluster: "mail", Keys: []Key{NewKey()}, Gossip: "[::]:7946", Stream: "0.0.0.0:7947", Receiver: new(eventbus.Bus)}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(*Options){
		"no name":           func(o *Options) { o.Name = "" },
		"upper case":        func(o *Options) { o.Name = "N1" },
		"address as name":   func(o *Options) { o.Name = "10.0.0.1" },
		"long name":         func(o *Options) { o.Name = strings.Repeat("n", 64) },
		"wildcard":          func(o *Options) { o.Name = "*.example" },
		"no cluster":        func(o *Options) { o.Cluster = "" },
		"no key":            func(o *Options) { o.Keys = nil },
		"no gossip address": func(o *Options) { o.Gossip = "localhost:1" },
		"no stream address": func(o *Options) { o.Stream = "" },
		"nowhere":           func(o *Options) { o.AdvertiseStream = "0.0.0.0:7947" },
		"no receiver":       func(o *Options) { o.Receiver = nil },
		"profile":           func(o *Options) { o.Profile = "moon" },
		"codec":             func(o *Options) { o.Codec = 'x' },
	} {
		o := good
		if spoil(&o); true {
			if _, err := New(o); err == nil {
				t.Errorf("%s is accepted", what)
			}
		}
	}
}

// shake makes a handshake and returns what each end thinks of it.
func shake(t *testing.T, client, server *identity, name string, spoil func(*tls.Config)) (clientErr, serverErr error) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	cc, _ := client.client(name)
	sc, _ := server.server()
	if spoil != nil {
		spoil(cc)
	}
	done := make(chan error, 1)
	go func() {
		c := tls.Server(b, sc)
		err := c.HandshakeContext(t.Context())
		if err == nil {
			_, _, err = server.peer(c.ConnectionState())
		}
		if err == nil {
			_, err = c.Write([]byte{1}) // the client learns from it
		}
		b.Close()
		done <- err
	}()
	c := tls.Client(a, cc)
	clientErr = c.HandshakeContext(t.Context())
	if clientErr == nil {
		_, clientErr = io.ReadFull(c, make([]byte, 1))
	}
	if clientErr == nil {
		_, _, clientErr = client.peer(c.ConnectionState())
	}
	a.Close()
	return clientErr, <-done
}

// TestBothEndsProveTheKey shows which ends accept each other.
func TestBothEndsProveTheKey(t *testing.T) {
	k1, k2, k3 := NewKey(), NewKey(), NewKey()
	identityOf := func(node, cluster string, keys ...Key) *identity {
		id, err := newIdentity(node, cluster, keys)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	server := identityOf("n2", "mail", k1, k2)
	for _, c := range []struct {
		what   string
		client *identity
		name   string
		spoil  func(*tls.Config)
		ok     bool
	}{
		{"one key", identityOf("n1", "mail", k1), "n2", nil, true},
		{"during a rotation", identityOf("n1", "mail", k2, k1), "n2", nil, true},
		{"another key", identityOf("n1", "mail", k3), "n2", nil, false},
		{"uses a key that the other has not", identityOf("n1", "mail", k3, k1), "n2", nil, false},
		{"has not the key that the other uses", identityOf("n1", "mail", k2), "n2", nil, false},
		{"another cluster", identityOf("n1", "test", k1), "n2", nil, false},
		{"another node answers", identityOf("n1", "mail", k1), "n3", nil, false},
		{"no certificate", identityOf("n1", "mail", k1), "n2", func(c *tls.Config) { c.Certificates = nil }, false},
		{"TLS 1.2", identityOf("n1", "mail", k1), "n2", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }, false},
		{"another protocol", identityOf("n1", "mail", k1), "n2", func(c *tls.Config) { c.NextProtos = []string{"h2"} }, false},
		{"no protocol", identityOf("n1", "mail", k1), "n2", func(c *tls.Config) { c.NextProtos = nil }, false},
		{"any clock", identityOf("n1", "mail", k1), "n2", func(c *tls.Config) { c.Time = validFrom.AddDate(200, 0, 0).Local }, true},
	} {
		clientErr, serverErr := shake(t, c.client, server, c.name, c.spoil)
		if ok := clientErr == nil && serverErr == nil; ok != c.ok {
			t.Errorf("%s: client %v, server %v", c.what, clientErr, serverErr)
		}
	}
	if err := server.setKeys([]Key{k2}); err != nil {
		t.Fatal(err)
	}
	if a, b := shake(t, identityOf("n1", "mail", k1, k2), server, "n2", nil); a == nil && b == nil {
		t.Error("a key that was taken out is accepted")
	}
	if err := server.setKeys(nil); err == nil || !server.has(k2) || server.has(k1) {
		t.Errorf("no keys: %v", err)
	}
}

func TestMeta(t *testing.T) {
	m := meta{instance: 1 << 63, draining: true, codecs: []codec.Codec{codec.MessagePack, codec.JSON}, version: strings.Repeat("v", maxVersion), stream: strings.Repeat("s", maxAddress)}
	older := len(m.append(nil)) - 1 // without keys
	for range maxKeys {
		m.keys = append(m.keys, NewKey().Fingerprint())
	}
	b := m.append(nil)
	if len(b) > 512 { // memberlist's limit
		t.Errorf("%d bytes", len(b))
	}
	for _, b := range [][]byte{b, append(b, "from a newer node"...)} {
		if got, err := parseMeta(b); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%v, %+v", err, got)
		}
	}
	for n := range len(b) {
		if got, err := parseMeta(b[:n]); n == older {
			if err != nil || got.keys != nil || got.stream != m.stream {
				t.Errorf("an older node: %v, %+v", err, got)
			}
		} else if err == nil {
			t.Errorf("%d of %d bytes are accepted", n, len(b))
		}
	}
	if c := m.codecFor(codec.JSON); c != codec.JSON {
		t.Error("JSON is not used")
	}
	if c := new(meta).codecFor(codec.JSON); c != codec.MessagePack {
		t.Error("JSON is used for a node that does not read it")
	}
}

func FuzzMeta(f *testing.F) {
	f.Add((&meta{instance: 7, codecs: []codec.Codec{codec.JSON}, version: "1", stream: ":7947", keys: []Fingerprint{{1}, {2}}}).append(nil))
	half := (&meta{instance: 7}).append(nil)
	f.Add(append(half[:len(half)-1], 1, 1)) // an eighth of a key
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMeta(b)
		if err != nil {
			return
		}
		if again, err := parseMeta(m.append(nil)); err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("%+v came back as %+v, %v", m, again, err)
		}
	})
}

// FuzzStream feeds a stream with bytes: nothing is taken that is not there, and memory follows what has come.
func FuzzStream(f *testing.F) {
	h := hello{1, 2, 3, 4}
	f.Add(appendFrame(nil, h.append))
	f.Add(binary.BigEndian.AppendUint32(nil, 1<<31))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(b), 16)
		first, err := readFrame(r, nil, maxHello)
		if err != nil {
			return
		}
		if h, err := parseHello(first); err == nil && !bytes.HasPrefix(first, h.append(nil)) {
			t.Fatalf("%x is %+v", first, h)
		}
		for taken := frameHead + len(first); ; {
			frame, err := readFrame(r, nil, codec.MaxFrame)
			if err != nil {
				return
			}
			if taken += frameHead + len(frame); taken > len(b) {
				t.Fatalf("%d bytes from %d", taken, len(b))
			}
		}
	})
}

// TestLossIsSeen shows that whatever a queue drops and a network cuts off, the receiver has each event once and in order, or is told.
func TestLossIsSeen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := newQueue(rapid.IntRange(1, 20).Draw(t, "limit"), rapid.IntRange(10, 100).Draw(t, "bytes"))
		var n numbering
		instance, line := uint64(1), uint64(1)
		published, told := uint64(0), uint64(0) // events; below told, each was received or reported
		receive := func(first uint64, events [][]byte) {
			lost, fresh := n.frame(first, first+uint64(len(events)))
			if !fresh {
				t.Fatalf("a frame of %d from %d is not fresh", len(events), first)
			}
			if lost {
				told = max(told, first)
			}
			for i, e := range events {
				number := first + uint64(i)
				if number != told || binary.BigEndian.Uint64(e) != number {
					t.Fatalf("event %x came as %d, everything below %d was told", e, number, told)
				}
				told++
			}
		}
		open := func() {
			if n.open(instance, line, q.number()) {
				told = q.number()
			} else if told != q.number() {
				t.Fatalf("the stream goes on at %d, everything below %d was told", q.number(), told)
			}
		}
		open()
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(t *rapid.T) {
				var events [][]byte
				for range rapid.IntRange(1, 5).Draw(t, "events") {
					events = append(events, binary.BigEndian.AppendUint64(nil, published))
					published++
				}
				if rapid.IntRange(0, 9).Draw(t, "sendable") == 0 {
					q.skip(len(events))
				} else {
					q.put(events)
				}
			},
			"send": func(t *rapid.T) {
				if first, events, ok := q.take(rapid.IntRange(128, 200).Draw(t, "batch")); ok {
					receive(first, events)
				}
			},
			"cut off": func(t *rapid.T) { // with a frame on its way, perhaps
				if rapid.Bool().Draw(t, "on its way") {
					q.take(150)
				}
				open()
			},
			"": func(t *rapid.T) {
				if waiting, _ := q.figures(); waiting > q.limit || q.bytes > q.limitBytes {
					t.Fatalf("%d events of %d bytes are waiting", waiting, q.bytes)
				}
			},
		})
		for {
			first, events, ok := q.take(batchSize)
			if !ok {
				break
			}
			receive(first, events)
		}
		if told != published {
			t.Fatalf("%d events, but only %d were received or reported", published, told)
		}
	})
}

func TestNumbering(t *testing.T) {
	var n numbering
	for _, c := range []struct {
		what string
		lost bool
		want bool
	}{
		{"a new node", n.open(1, 1, 5), true},
		{"the same stream again", n.open(1, 1, 5), false},
		{"a new queue", n.open(1, 2, 5), true},
		{"a new instance", n.open(2, 2, 5), true},
		{"a later number", n.open(2, 2, 9), true},
	} {
		if c.lost != c.want {
			t.Errorf("%s: lost %v", c.what, c.lost)
		}
	}
	for _, c := range []struct {
		first, next uint64
		lost, fresh bool
	}{{9, 10, false, true}, {9, 10, false, false}, {10, 10, false, true}, {12, 14, true, true}, {13, 15, false, false}, {14, 1, false, false}, {14, 20, false, true}} {
		if lost, fresh := n.frame(c.first, c.next); lost != c.lost || fresh != c.fresh {
			t.Errorf("frame from %d to %d: lost %v, fresh %v", c.first, c.next, lost, fresh)
		}
	}
}

// TestRecentTellsOnce shows that whatever comes by a stream and by the feed, in any interleaving, is told once.
func TestRecentTellsOnce(t *testing.T) {
	box, account := mailbox.NewID(), mailbox.NewAccountID()
	rapid.Check(t, func(t *rapid.T) {
		r := newRecent(time.Hour)
		var events []mailbox.Event
		for m := range rapid.IntRange(0, 8).Draw(t, "changes") {
			events = append(events, change(box, mailbox.ModSeq(m+1)))
		}
		for range rapid.IntRange(0, 6).Draw(t, "others") {
			events = append(events, mailbox.Event{Kind: mailbox.EventSubscribed, Account: account, Name: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name")})
		}
		quick, fed := slices.Clone(events), slices.Clone(events)
		var told []mailbox.Event
		for len(quick)+len(fed) > 0 {
			if n := rapid.IntRange(0, len(quick)).Draw(t, "quick"); n > 0 {
				told = append(told, r.quick(quick[:n])...)
				quick = quick[n:]
			}
			if n := rapid.IntRange(0, len(fed)).Draw(t, "fed"); n > 0 {
				told = append(told, r.fed(fed[:n])...)
				fed = fed[n:]
			}
		}
		count := func(list []mailbox.Event) map[string]int {
			m := map[string]int{}
			for _, e := range list {
				if e.Change != nil {
					m[fmt.Sprint(e.Change.ModSeq)]++
				} else {
					m[e.Name]++
				}
			}
			return m
		}
		if got, want := count(told), count(events); !reflect.DeepEqual(got, want) {
			t.Fatalf("told %v, want %v", got, want)
		}
	})
	r := newRecent(time.Hour)
	for m := range mailbox.ModSeq(3 * recentSize) {
		if e := []mailbox.Event{change(box, m+1)}; len(r.quick(e)) != 1 || len(r.quick(e)) != 0 {
			t.Fatalf("change %d is not told once", m+1)
		}
	}
	if n := len(r.young) + len(r.old); n > 2*recentSize {
		t.Errorf("%d events are remembered", n)
	}
	r.forget()
	if len(r.quick([]mailbox.Event{change(box, 3*recentSize)})) != 1 {
		t.Error("it is not forgotten")
	}
}

type fakeDNS struct{}

func (fakeDNS) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	switch host {
	case "two.example":
		return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}, nil
	case "n1.example":
		return []netip.Addr{netip.MustParseAddr("::ffff:192.0.2.9")}, nil
	}
	return nil, errors.New("no such host")
}

func (fakeDNS) LookupSRV(_ context.Context, _, _, name string) (string, []*net.SRV, error) {
	if name != "_starling._tcp.example" {
		return "", nil, errors.New("no such host")
	}
	return "", []*net.SRV{{Target: "n1.example.", Port: 1}, {Target: "two.example.", Port: 2}}, nil
}

func TestWhoToJoin(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return "file:" + path
	}
	for item, want := range map[string]string{
		"192.0.2.1:1":                "192.0.2.1:1",
		"192.0.2.1":                  "192.0.2.1:7946",
		"[2001:db8::1]:9":            "[2001:db8::1]:9",
		"2001:db8::1":                "[2001:db8::1]:7946",
		"n1.example":                 "192.0.2.9:7946",
		"two.example:5":              "192.0.2.1:5 [2001:db8::1]:5",
		"srv:_starling._tcp.example": "192.0.2.9:1 192.0.2.1:2 [2001:db8::1]:2",
		"srv:none":                   "error",
		"none.example":               "error",
		"n1.example:70000":           "error",
		"file:" + dir + "/none":      "error",
		write("seeds", "# seeds\n\nnone.example\n192.0.2.7:3\nsrv:_starling._tcp.example\n"): "192.0.2.7:3 192.0.2.9:1 192.0.2.1:2 [2001:db8::1]:2",
		write("empty", "\n"):                           "",
		write("broken", "none.example\n"):              "error",
		write("loop", "file:"+dir+"/loop\n"):           "error",
		write("large", strings.Repeat("#\n", 100_000)): "error",
	} {
		got := "error"
		if list, err := addresses(t.Context(), fakeDNS{}, item); err == nil {
			got = strings.Trim(fmt.Sprint(list), "[]")
			if len(list) > 0 {
				got = fmt.Sprint(list)
				got = got[1 : len(got)-1]
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", item, got, want)
		}
	}
}

func TestGossipLog(t *testing.T) {
	var out bytes.Buffer
	ctx, end := context.WithCancel(t.Context())
	l := newGossipLogger(ctx, zerolog.New(&out))
	l.Printf("[WARN] memberlist: a %s", strings.Repeat("x", 5000))
	l.Printf("no level")
	end()
	l.Printf("[ERR] memberlist: it is closed")
	lines := strings.Split(out.String(), "\n")
	if !strings.HasPrefix(lines[0], `{"level":"warn","from":"memberlist","message":"a xxx`) || len(lines[0]) > 1200 || !strings.Contains(lines[1], `"info"`) || !strings.Contains(lines[2], `"debug"`) {
		t.Errorf("%.200s", out.String())
	}
}
