package cluster

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/eventbus/codec"
	"github.com/starling-mail/starling/mailbox"
)

// TestKeyRotation exchanges the key of a running cluster: events flow at every step, and who has the old key only is out.
func TestKeyRotation(t *testing.T) {
	old, next := NewKey(), NewKey()
	all := startAll(t, 3, 64, func(_ int, o *Options) { o.Keys = []Key{old} })
	id := mailbox.NewID()
	w := watch(t, all[2].bus, id)
	for step, keys := range [][]Key{{old}, {old, next}, {next, old}, {next}} {
		for _, m := range all {
			if err := m.SetKeys(keys); err != nil {
				t.Fatal(err)
			}
		}
		awaitStreams(t, all...)
		for _, m := range all {
			await(t, "the others' keys", func() bool {
				return !slices.ContainsFunc(m.Members(), func(o Member) bool { return !slices.Equal(o.Keys, fingerprints(keys)) })
			})
		}
		all[0].publish(id, mailbox.ModSeq(step+1))
		w.await(t, mailbox.ModSeq(step+1))
	}
	for k := range all[0].wires().links.open {
		if k.keys != [2]Key{next, next} {
			t.Error("a stream rests on the old key")
		}
	}
	before := all[0].Stats().Refused
	out := start(t, Options{Name: "n4", Keys: []Key{old}, Join: []string{all[0].GossipAddress().String()}}, 64)
	if s, err := dialAs(t, out.Node, all[0].Node, nil); err == nil {
		s.Close()
		t.Error("the old key opens a stream")
	}
	await(t, "the refusal", func() bool { return all[0].Stats().Refused > before })
	if len(out.Members()) != 1 || len(all[0].Members()) != 3 {
		t.Error("who has the old key is a member")
	}
	if err := new(Node).SetKeys([]Key{old}); err == nil {
		t.Error("keys are exchanged before the start")
	}
	if err := all[0].SetKeys(nil); err == nil {
		t.Error("no keys are accepted")
	}
}

// TestWrongClusterName shows that two clusters do not mix, even with one key.
func TestWrongClusterName(t *testing.T) {
	key := NewKey()
	a := start(t, Options{Name: "n1", Keys: []Key{key}}, 64)
	b := start(t, Options{Name: "n2", Cluster: "other", Keys: []Key{key}, Join: []string{a.GossipAddress().String()}}, 64)
	if s, err := dialAs(t, b.Node, a.Node, nil); err == nil {
		s.Close()
		t.Error("a stream from another cluster is open")
	}
	await(t, "the refusal", func() bool { return a.Stats().Refused > 0 })
	b.joinMissing(t.Context())
	if len(a.Members()) != 1 || len(b.Members()) != 1 {
		t.Error("two clusters have mixed")
	}
}

// dialAs opens a stream to a node with the identity of another, and says hello.
func dialAs(t *testing.T, as, to *Node, greeting []byte) (*tls.Conn, error) {
	config, _ := as.wires().id.client(to.o.Name)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", to.wires().listener.Addr().String())
	if err != nil {
		return nil, err
	}
	conn := c.(*tls.Conn)
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(greeting); err != nil {
		conn.Close()
		return nil, err
	}
	if _, err := io.ReadFull(conn, make([]byte, answerSize)); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// TestHostileStream shows P7 on streams whose other end has the key: whatever it sends is refused or passed over and counted, and what
// comes after it is used.
func TestHostileStream(t *testing.T) {
	key := NewKey()
	victim := start(t, Options{Name: "n1", Keys: []Key{key}}, 64)
	evil, err := New(Options{Name: "evil", Cluster: "test", Keys: []Key{key}, Gossip: "127.0.0.1:0", Stream: "127.0.0.1:0", Receiver: victim.bus, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	id := mailbox.NewID()
	w := watch(t, victim.bus, id)
	greet := func(next uint64) []byte {
		return appendFrame(nil, (&hello{to: victim.instance, instance: 7, line: 8, next: next}).append)
	}
	open := func(next uint64) *tls.Conn {
		c, err := dialAs(t, evil, victim.Node, greet(next))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	frame := func(origin, first uint64, events ...mailbox.Event) []byte {
		return appendFrame(nil, func(b []byte) []byte {
			return codec.MessagePack.AppendFrame(b, origin, first, encode(codec.MessagePack, events))
		})
	}
	send := func(c net.Conn, b ...[]byte) {
		if _, err := c.Write(slices.Concat(b...)); err != nil {
			t.Fatal(err)
		}
	}
	ended := func(c net.Conn) {
		t.Helper()
		if _, err := io.Copy(io.Discard, c); err != nil {
			if e, ok := err.(net.Error); ok && e.Timeout() {
				t.Error("the stream stays open")
			}
		}
	}
	of := func() PeerStats { return victim.of("evil") }

	// Hellos that are none.
	for what, b := range map[string][]byte{
		"too large":        binary.BigEndian.AppendUint32(nil, maxHello+1),
		"too short":        appendFrame(nil, func(b []byte) []byte { return append(b, helloMagic[:]...) }),
		"another version":  appendFrame(nil, func(b []byte) []byte { return append(append(b, 'S', 'T', 'S', 2), make([]byte, 64)...) }),
		"another instance": appendFrame(nil, (&hello{to: victim.instance + 1, instance: 7}).append),
		"another protocol": []byte("GET / HTTP/1.1\r\n\r\n"),
	} {
		if c, err := dialAs(t, evil, victim.Node, b); err == nil {
			t.Errorf("hello %s is answered", what)
			c.Close()
		}
	}

	c := open(0)
	send(c, frame(7, 0, change(id, 1)))
	w.await(t, 1)
	losses := w.lost()

	// What does not decode is kept, and what follows is used; the gap is seen.
	send(c, appendFrame(nil, func(b []byte) []byte { return append(b, "\x01mrubbish"...) }), frame(7, 2, change(id, 2)))
	w.await(t, 2)
	letters := victim.DeadLetters()
	if len(letters) != 1 || letters[0].From != "evil" || string(letters[0].Bytes) != "\x01mrubbish" || of().Undecodable != 1 {
		t.Errorf("dead letters: %+v", letters)
	}
	if w.lost() != losses+1 {
		t.Errorf("%d losses, want %d", w.lost(), losses+1)
	}
	for range 3 * maxLetters {
		send(c, appendFrame(nil, func(b []byte) []byte { return append(b, make([]byte, 2*maxLetterSize)...) }))
	}
	// Another instance's frames, and a replay.
	send(c, frame(9, 3, change(id, 666)), frame(7, 2, change(id, 667)), frame(7, 3, change(id, 3)))
	w.await(t, 3)
	if letters := victim.DeadLetters(); len(letters) != maxLetters || len(letters[0].Bytes) != maxLetterSize || letters[0].Size != 2*maxLetterSize {
		t.Errorf("%d dead letters are kept", len(letters))
	}
	if of().Repeated != 1 || of().Undecodable != 3*maxLetters+2 {
		t.Errorf("%+v", of())
	}
	// Another stream of the same node ends this one; a replay of what it sent is not told again.
	again := open(4)
	ended(c)
	send(again, frame(7, 0, change(id, 1)), frame(7, 3, change(id, 3)), frame(7, 4, change(id, 4)))
	w.await(t, 4)

	// A frame over the limit ends its stream; so does the end in the middle of a frame, and silence.
	send(again, binary.BigEndian.AppendUint32(nil, codec.MaxFrame+1))
	ended(again)
	if n := victim.Stats().TooLarge; n != 1 {
		t.Errorf("%d frames too large", n)
	}
	cutOff := open(5)
	send(cutOff, frame(7, 5, change(id, 668))[:20])
	cutOff.Close()
	await(t, "the end of a truncated stream", func() bool { return !of().Receiving })
	last := open(5)
	send(last, frame(7, 5, change(id, 5)))
	w.await(t, 5)
	if heard := w.all(); !slices.Equal(heard, []mailbox.ModSeq{1, 2, 3, 4, 5}) {
		t.Errorf("heard %d", heard)
	}
	if r := victim.Stats().Refused; r < 5 {
		t.Errorf("%d refused", r)
	}
}

// TestNoKeyAtAll shows that strangers are refused and counted.
func TestNoKeyAtAll(t *testing.T) {
	victim := start(t, Options{Name: "n1", Keys: []Key{NewKey()}}, 64)
	stranger, err := newIdentity("n2", "test", []Key{NewKey()})
	if err != nil {
		t.Fatal(err)
	}
	config, _ := stranger.client("n1")
	if c, err := tls.Dial("tcp", victim.wires().listener.Addr().String(), config); err == nil {
		if _, err := io.ReadFull(c, make([]byte, 1)); err == nil {
			t.Error("a stranger is answered")
		}
		c.Close()
	}
	silent, err := net.Dial("tcp", victim.wires().listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	r := bufio.NewReader(silent)
	if _, err := silent.Write([]byte("hello\n")); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err == nil && len(b) > 7 { // a TLS alert at most
		t.Errorf("%q to a stranger", b)
	}
	await(t, "two refusals", func() bool { return victim.Stats().Refused >= 2 })
	if len(victim.Stats().Peers) != 0 {
		t.Error("a stranger is known")
	}
}

// TestStrangersKeepNobodyOut shows that a node is let in while many connections wait that show no key, of which only so many are kept.
func TestStrangersKeepNobodyOut(t *testing.T) {
	keys := []Key{NewKey()}
	victim := start(t, Options{Name: "n1", Keys: keys}, 64)
	var strangers []net.Conn
	for range 3 * maxHandshakes {
		c, err := net.Dial("tcp", victim.wires().listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		strangers = append(strangers, c)
	}
	friend := start(t, Options{Name: "n2", Keys: keys, Join: []string{victim.GossipAddress().String()}}, 64)
	awaitStreams(t, victim, friend)
	for _, c := range strangers[:maxHandshakes] { // the oldest are closed
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("a stranger is kept")
		}
	}
}

// TestHostileAnnouncements shows P7 for what a node with the key says that it listens to: what cannot be understood is counted and kept, and from then on that
// node is sent everything, until it has said anew what it wants.
func TestHostileAnnouncements(t *testing.T) {
	key := NewKey()
	victim := start(t, Options{Name: "n1", Keys: []Key{key}, Interest: true}, 64)
	evil, err := New(Options{Name: "evil", Cluster: "test", Keys: []Key{key}, Gossip: "127.0.0.1:0", Stream: "127.0.0.1:0", Receiver: victim.bus, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	c, err := dialAs(t, evil, victim.Node, appendFrame(nil, (&hello{to: victim.instance, instance: 7, line: 8}).append))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	send := func(b []byte) {
		if _, err := c.Write(appendFrame(nil, func(dst []byte) []byte { return append(dst, b...) })); err != nil {
			t.Fatal(err)
		}
	}
	answer := func() uint64 {
		var b [answerSize]byte
		if _, err := io.ReadFull(c, b[:]); err != nil {
			t.Fatal(err)
		}
		return binary.BigEndian.Uint64(b[:])
	}
	of := func() PeerStats { return victim.of("evil") }
	whole := announcement{number: 5, whole: true, toggles: []toggle{newToggle(3, true)}}
	more := announcement{number: 6, toggles: []toggle{newToggle(4, true)}}
	bad := 0
	for what, frame := range map[string][]byte{
		"nothing":             {announcementVersion, interestFrame},
		"truncated":           whole.append(nil)[:4],
		"too many":            {announcementVersion, interestFrame, wholeFlag, 1, 0xff, 0xff, 0xff, 0xff, 0x0f},
		"no such bucket":      {announcementVersion, interestFrame, wholeFlag, 1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f},
		"deep nesting":        append([]byte{announcementVersion, interestFrame}, bytes.Repeat([]byte{0x91}, 200_000)...),
		"a number too high":   append([]byte{announcementVersion, interestFrame, wholeFlag}, binary.AppendUvarint(nil, interestAnswer)...),
		"a change of nothing": more.append(nil),
	} {
		send(whole.append(nil))
		if n := answer(); n != 5|interestAnswer {
			t.Fatalf("%s: the answer is %x", what, n)
		}
		if !of().Selective {
			t.Fatalf("%s: nothing is known of what it wants", what)
		}
		if what == "a change of nothing" {
			send((&announcement{whole: true, more: true}).append(nil))
		}
		send(frame)
		bad++
		send(more.append(nil)) // nor is what would follow understood
		bad++
		await(t, what+": the count", func() bool { return of().Undecodable == uint64(bad) })
		if of().Selective {
			t.Errorf("%s: it is believed", what)
		}
	}
	if l := victim.DeadLetters(); len(l) != min(bad, maxLetters) || l[0].From != "evil" {
		t.Errorf("%d dead letters", len(l))
	}
	for n := range 5000 { // parts without end
		send((&announcement{number: uint64(n), whole: true, more: true, toggles: []toggle{newToggle(uint32(n), true)}}).append(nil))
	}
	send(whole.append(nil))
	if n := answer(); n != 5|interestAnswer || !of().Selective {
		t.Errorf("the answer is %x", n)
	}
}

// A script is a connection on which another node has said everything before it hears an answer.
type script struct {
	net.Conn // nil: nothing else is called
	bytes.Reader
}

func (s *script) Read(b []byte) (int, error)       { return s.Reader.Read(b) }
func (s *script) Write(b []byte) (int, error)      { return len(b), nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// FuzzRead lets a node with the key send anything after its hello: frames of events and announcements, whole or not. It is read to its end or
// refused, what is told is what can be, and nothing stays but counts.
func FuzzRead(f *testing.F) {
	frames := func(list ...[]byte) (b []byte) {
		for _, one := range list {
			b = appendFrame(b, func(dst []byte) []byte { return append(dst, one...) })
		}
		return b
	}
	id := mailbox.ID{1}
	events := func(c codec.Codec, first uint64, e ...mailbox.Event) []byte {
		return c.AppendFrame(nil, 7, first, encode(c, e))
	}
	whole := announcement{number: 1, whole: true, toggles: []toggle{newToggle(bucketOf(eventbus.MailboxKey(id)), true), newToggle(everything, true)}}
	part := announcement{number: 1, whole: true, more: true, toggles: whole.toggles}
	change1 := announcement{number: 2, toggles: []toggle{newToggle(everything, false)}}
	f.Add(frames(events(codec.MessagePack, 0, change(id, 1)), whole.append(nil), change1.append(nil), events(codec.JSON, 1, change(id, 2))))
	f.Add(frames(part.append(nil), part.append(nil), whole.append(nil), change1.append(nil)))
	f.Add(frames(change1.append(nil), events(codec.MessagePack, 5, change(id, 3)), events(codec.MessagePack, 5, change(id, 3))))
	f.Add(frames([]byte("\x01mrubbish"), []byte("\x01jrubbish"), []byte{announcementVersion, interestFrame}))
	f.Add(frames(events(codec.MessagePack, 1<<63, change(id, 3)))[:30])
	f.Fuzz(func(t *testing.T, b []byte) {
		to := &receiver{make(chan []mailbox.Event, len(b)+1), make(chan struct{}, len(b)+2)}
		n, err := New(Options{Name: "n1", Cluster: "test", Keys: []Key{{1}}, Gossip: "127.0.0.1:0", Stream: "127.0.0.1:0", Interest: true, Receiver: to, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		s := n.sender("n2")
		var c script
		c.Reset(append(appendFrame(nil, (&hello{to: n.instance, instance: 7}).append), b...))
		if err := n.read(s, &c); err == nil {
			t.Fatal("a stream has no end")
		}
		told := 0
		for len(to.events) > 0 {
			told += len(<-to.events)
		}
		if uint64(told) > s.received.Load() || len(n.DeadLetters()) > maxLetters || s.heard.Load() != nil {
			t.Fatalf("%d events told of %d, %d dead letters, %v", told, s.received.Load(), len(n.DeadLetters()), s.heard.Load())
		}
	})
}

// FuzzGossip lets anybody with the key broadcast anything: it is told once or not at all, passed on within bounds, and memory is not its choice.
func FuzzGossip(f *testing.F) {
	for i, e := range []mailbox.Event{change(mailbox.ID{1}, 1), {Kind: mailbox.EventCreated, Account: mailbox.AccountID{2}, Name: "a"}} {
		b, _ := newBroadcast(7, uint64(i), &e, false)
		f.Add(b.frame)
		f.Add(codec.JSON.AppendFrame(nil, 7, 3, encode(codec.JSON, []mailbox.Event{e})))
		f.Add(codec.MessagePack.AppendFrame(nil, 7, 3, encode(codec.MessagePack, []mailbox.Event{e, e})))
	}
	f.Add([]byte("\x01m\x93\x01\x01\xdd\x80\x00\x00\x00"))
	f.Add(bytes.Repeat([]byte{'['}, maxBroadcast+1))
	f.Fuzz(func(t *testing.T, b []byte) {
		to := &receiver{make(chan []mailbox.Event, 10), make(chan struct{}, 10)}
		n, err := New(Options{Name: "n1", Cluster: "test", Keys: []Key{{1}}, Gossip: "127.0.0.1:0", Stream: "127.0.0.1:0", Receiver: to, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		l := n.lane
		for range 2 { // packets can be replayed
			l.gossiped(b)
			if len(l.inbox) > 0 {
				l.take(<-l.inbox)
			}
		}
		waiting, _ := l.queue.figures()
		if len(to.events) > 1 || waiting > 1 || len(l.waiting) > 0 {
			t.Fatalf("told %d times, passed on %d times", len(to.events), waiting)
		}
		for _, frame := range l.queue.take(3, 1400) {
			if len(frame) > maxBroadcast {
				t.Fatalf("%d bytes are passed on", len(frame))
			}
		}
	})
}
