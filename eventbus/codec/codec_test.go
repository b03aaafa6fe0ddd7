package codec

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	"github.com/starling-mail/starling/mailbox"
)

var codecs = []Codec{MessagePack, JSON}

func drawUIDs(t *rapid.T) (set imap.UIDSet) {
	last := uint64(0)
	for range rapid.IntRange(0, 5).Draw(t, "ranges") {
		start := last + 1 + rapid.Uint64Range(0, 1<<28).Draw(t, "gap")
		stop := start + rapid.Uint64Range(0, 1<<20).Draw(t, "length")
		set = append(set, uidRange(start, stop))
		last = stop
	}
	return set
}

func drawEvent(t *rapid.T) mailbox.Event {
	e := mailbox.Event{Kind: mailbox.EventKind(rapid.IntRange(1, 11).Draw(t, "kind")), Account: mailbox.NewAccountID()}
	if rapid.Bool().Draw(t, "mailbox") {
		e.Mailbox = mailbox.NewID()
	}
	e.Name = rapid.StringN(0, 20, 80).Draw(t, "name")
	e.OldName = rapid.StringN(0, 20, 80).Draw(t, "old name")
	if rapid.Bool().Draw(t, "user") {
		e.User = mailbox.NewAccountID()
	}
	if e.Kind != mailbox.EventChanged {
		return e
	}
	c := &mailbox.Change{Mailbox: e.Mailbox, Account: e.Account, Line: rapid.Uint64().Draw(t, "line"), Prev: mailbox.ModSeq(rapid.Uint64Max(1<<62).Draw(t, "prev"))}
	c.ModSeq = c.Prev + mailbox.ModSeq(rapid.Uint32().Draw(t, "step"))
	c.Added, c.Expunged = drawUIDs(t), drawUIDs(t)
	for range rapid.IntRange(0, 3).Draw(t, "flag changes") {
		f := mailbox.FlagChange{UIDs: drawUIDs(t), Flags: mailbox.Flags{System: mailbox.SystemFlags(rapid.Byte().Draw(t, "flags")), Keywords: rapid.StringMatching(`[a-z$ ]{0,40}`).Draw(t, "keywords")}}
		if rapid.Bool().Draw(t, "private") {
			f.User = mailbox.NewAccountID()
		}
		c.Flags = append(c.Flags, f)
	}
	c.Counts = mailbox.Counts{
		Messages: rapid.Uint32().Draw(t, "messages"), Unseen: rapid.Uint32().Draw(t, "unseen"), Deleted: rapid.Uint32().Draw(t, "deleted"),
		Size: rapid.Int64Min(0).Draw(t, "size"), DeletedSize: rapid.Int64Min(0).Draw(t, "deleted size"), UIDNext: imap.UID(rapid.Uint32().Draw(t, "next")),
	}
	c.Truncated = rapid.Bool().Draw(t, "truncated")
	e.Change = c
	return e
}

func frame(t interface{ Fatal(...any) }, c Codec, origin, first uint64, events ...mailbox.Event) []byte {
	var written [][]byte
	for _, e := range events {
		b, err := c.AppendEvent(nil, &e)
		if err != nil {
			t.Fatal(err)
		}
		written = append(written, b)
	}
	return c.AppendFrame(nil, origin, first, written)
}

func TestRoundTrip(t *testing.T) {
	for _, c := range codecs {
		t.Run(c.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				want := Frame{Origin: rapid.Uint64().Draw(t, "origin"), First: rapid.Uint64().Draw(t, "first")}
				for range rapid.IntRange(0, 4).Draw(t, "events") {
					want.Events = append(want.Events, drawEvent(t))
				}
				b := frame(t, c, want.Origin, want.First, want.Events...)
				got, err := Decode(b)
				if err != nil {
					t.Fatalf("%v in %q", err, b)
				}
				if !reflect.DeepEqual(got, want) {
					t.Fatalf("%+v came back as %+v", want, got)
				}
				if c == JSON { // read the other way, in case Decode has read it at once
					if got, ok := decodeJSONPieces(b[2:]); !ok || !reflect.DeepEqual(got, want) {
						t.Fatalf("%+v came back in pieces as %+v, %v", want, got, ok)
					}
				}
				n := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
				if _, err := Decode(b[:n]); err == nil {
					t.Fatalf("%d of %d bytes are a frame", n, len(b))
				}
			})
		})
	}
}

// sample is one event of each shape.
func sample() []mailbox.Event {
	account, box, user := mailbox.AccountID{1, 2, 3}, mailbox.ID{4, 5, 6}, mailbox.AccountID{7}
	return []mailbox.Event{
		mailbox.ChangeEvent(&mailbox.Change{
			Mailbox: box, Account: account, Line: 9, Prev: 41, ModSeq: 300,
			Added: imap.UIDSet{{Start: 5, Stop: 7}, {Start: 70000, Stop: 70000}}, Expunged: imap.UIDSet{{Start: 1, Stop: 1}},
			Flags:  []mailbox.FlagChange{{UIDs: imap.UIDSet{{Start: 5, Stop: 7}}, Flags: mailbox.NewFlags(imap.FlagSeen, "$Work", "blue"), User: user}},
			Counts: mailbox.Counts{Messages: 4, Unseen: 1, Deleted: 2, Size: 1 << 33, DeletedSize: 12, UIDNext: 70001},
		}),
		{Kind: mailbox.EventRenamed, Account: account, Mailbox: box, Name: "Grüße/neu", OldName: "alt"},
		{Kind: mailbox.EventACLChanged, Account: account, Mailbox: box, User: user},
		mailbox.ChangeEvent(&mailbox.Change{Mailbox: box, Account: account, ModSeq: 1, Truncated: true}),
	}
}

// The form of frames on the network: a change here means that older nodes must still understand it.
var golden = map[Codec]string{
	MessagePack: "016d93cffedcba9876543210cd03e8949701c41001020300000000000000000000000000c41004050600000000000000000000000000a0a0c0980929cd012c940502ce0001116900920100919401aa24576f726b20626c7565c4100700000000000000000000000000000092050296040102cf00000002000000000cce00011171c29704c41001020300000000000000000000000000c41004050600000000000000000000000000ab4772c3bcc39f652f6e6575a3616c74c0c09708c41001020300000000000000000000000000c41004050600000000000000000000000000a0a0c41007000000000000000000000000000000c09701c41001020300000000000000000000000000c41004050600000000000000000000000000a0a0c09800000190909096000000000000c3",
	JSON:        "\x01j" + `{"origin":"fedcba9876543210","first":1000,"events":[{"kind":1,"account":"01020300000000000000000000000000","mailbox":"04050600000000000000000000000000","change":{"line":9,"prev":41,"modseq":300,"added":[5,7,70000,70000],"expunged":[1,1],"flags":[{"system":1,"keywords":"$Work blue","user":"07000000000000000000000000000000","uids":[5,7]}],"counts":{"messages":4,"unseen":1,"deleted":2,"size":8589934592,"deleted_size":12,"uidnext":70001}}},{"kind":4,"account":"01020300000000000000000000000000","mailbox":"04050600000000000000000000000000","name":"Grüße/neu","old_name":"alt"},{"kind":8,"account":"01020300000000000000000000000000","mailbox":"04050600000000000000000000000000","user":"07000000000000000000000000000000"},{"kind":1,"account":"01020300000000000000000000000000","mailbox":"04050600000000000000000000000000","change":{"line":0,"prev":0,"modseq":1,"counts":{"messages":0,"unseen":0,"deleted":0,"size":0,"deleted_size":0,"uidnext":0},"truncated":true}}]}`,
}

func TestGolden(t *testing.T) {
	for _, c := range codecs {
		b := frame(t, c, 0xfedcba9876543210, 1000, sample()...)
		text := string(b)
		if c == MessagePack {
			text = hex.EncodeToString(b)
		}
		if text != golden[c] {
			t.Errorf("%s:\n%s\nwant\n%s", c, text, golden[c])
		}
		got, err := Decode(b)
		if want := (Frame{Origin: 0xfedcba9876543210, First: 1000, Events: sample()}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %+v", c, err, got)
		}
	}
}

// TestWhole shows that an ordinary frame of JSON is read at once.
func TestWhole(t *testing.T) {
	want, ok := decodeJSONPieces([]byte(golden[JSON][2:]))
	if got, whole := decodeJSONWhole([]byte(golden[JSON][2:])); !whole || !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("%v: %+v", whole, got)
	}
}

// TestNewerNode shows P8: what a newer node adds is passed over and counted, and the rest of the frame is used.
func TestNewerNode(t *testing.T) {
	plain := sample()[1]
	account := plain.Account
	// A kind 12 with fields of its own, a known event with another field, and a plain one.
	unknown := packed(nil, func(p packer) {
		p.list(3)
		p.uint(12)
		p.list(1)
		_ = p.e.Encode(map[string]any{"deep": []any{map[string]any{"a": 1.5, "b": []byte{1}, "c": nil, "d": -7}}})
		p.bool(true)
	})
	longer := packed(nil, func(p packer) {
		p.list(eventFields + 2)
		p.uint(uint64(mailbox.EventQuotaChanged))
		p.bytes(account)
		p.none()
		p.text("")
		p.text("")
		p.none()
		p.none()
		p.text("new")
		_ = p.e.Encode([]any{strings.Repeat("x", 70000), 1 << 40, uint32(5), int16(-300), float32(1), true})
	})
	same := appendPackedEvent(nil, &plain)
	b := MessagePack.AppendFrame(nil, 1, 7, [][]byte{unknown, longer, same})
	// The frame itself has one more field too.
	b[2]++
	b = append(b, 0xc0)
	frames := map[Codec][]byte{
		MessagePack: b,
		JSON: []byte("\x01j" + `{"origin":"0000000000000001","first":7,"new":{"a":[1]},"events":[` +
			`{"kind":12,"account":{"not":"a string"},"change":7},` +
			fmt.Sprintf(`{"kind":10,"account":"%s","new":[1,2,{}]},`, account) +
			string(appendJSONEvent(nil, &plain)) + `]}`),
	}
	want := Frame{Origin: 1, First: 7, Unknown: 1, Trailing: 1, Events: []mailbox.Event{{Kind: mailbox.EventQuotaChanged, Account: account}, plain}}
	for _, c := range codecs {
		got, err := Decode(frames[c])
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %+v", c, err, got)
		}
		if got.Next() != 10 {
			t.Errorf("%s: the next number is %d, want 10", c, got.Next())
		}
	}
}

func TestLargeChangeIsTruncated(t *testing.T) {
	change := &mailbox.Change{Line: 1, Prev: 1, ModSeq: 2}
	for uid := imap.UID(1); uid < 1<<17; uid += 2 {
		change.Added = append(change.Added, imap.UIDRange{Start: uid, Stop: uid})
	}
	for _, c := range codecs {
		got, err := Decode(frame(t, c, 1, 1, mailbox.ChangeEvent(change)))
		if err != nil || !got.Events[0].Change.Truncated || got.Events[0].Change.Added != nil || got.Events[0].Change.ModSeq != 2 {
			t.Errorf("%s: %v, %+v", c, err, got)
		}
		if len(change.Added) != 1<<16 || change.Truncated {
			t.Fatal("the event itself was changed")
		}
		flags := &mailbox.Change{Prev: 1, ModSeq: 2, Flags: make([]mailbox.FlagChange, MaxList+1)}
		if got, err := Decode(frame(t, c, 1, 1, mailbox.ChangeEvent(flags))); err != nil || !got.Events[0].Change.Truncated {
			t.Errorf("%s: %v, %+v", c, err, got)
		}
		huge := mailbox.Event{Kind: mailbox.EventCreated, Name: strings.Repeat("n", MaxEvent)}
		if b, err := c.AppendEvent([]byte("x"), &huge); !errors.Is(err, ErrTooLarge) || string(b) != "x" {
			t.Errorf("%s: an event over the limit: %v", c, err)
		}
	}
}

func TestFitsIsAFrame(t *testing.T) {
	e := mailbox.Event{Kind: mailbox.EventCreated, Account: mailbox.NewAccountID(), Name: strings.Repeat("n", 60000)}
	for _, c := range codecs {
		b, err := c.AppendEvent(nil, &e)
		if err != nil {
			t.Fatal(err)
		}
		many := [][]byte{b, b, b, b, b, b, b, b, b}
		n := Fits(many, MaxFrame)
		if n != 4 {
			t.Errorf("%s: %d fit", c, n)
		}
		if f, err := Decode(c.AppendFrame(nil, ^uint64(0), ^uint64(0)-9, many[:n])); err != nil || len(f.Events) != n {
			t.Errorf("%s: %v", c, err)
		}
		if n := Fits(many, 1); n != 1 {
			t.Errorf("%s: %d in too small a frame", c, n)
		}
	}
	if n := Fits(make([][]byte, 2*MaxList), MaxFrame); n != MaxList {
		t.Errorf("%d events in a frame", n)
	}
	if n := Fits(nil, MaxFrame); n != 0 {
		t.Errorf("%d of none", n)
	}
}

// hostile are frames that once ended, or might end, a process.
func hostile() [][]byte {
	claim := []byte{version, byte(MessagePack), 0x93, 1, 1, 0xdd, 0x80, 0, 0, 0} // 2^31 events
	return [][]byte{
		nil, {version}, {version, byte(MessagePack)}, {version, byte(JSON)}, {2, byte(MessagePack), 0x90}, {version, 'x'},
		claim,
		append([]byte{version, byte(MessagePack), 0x93, 1, 1, 0x91, 0x91, 0x0c}, bytes.Repeat([]byte{0x91}, 200_000)...),                                        // an unknown event too short for its nesting
		append([]byte{version, byte(MessagePack), 0x93, 1, 1, 0x91, 0x92, 0x0c}, append(bytes.Repeat([]byte{0x91}, 200_000), 0xc0)...),                          // deep nesting, whole
		append([]byte{version, byte(MessagePack), 0x93, 1, 1, 0x91, 0x92, 0x0c}, bytes.Repeat([]byte{0xdd, 0xff, 0xff, 0xff, 0xff}, 50_000)...),                 // lengths that add up
		{version, byte(MessagePack), 0x93, 1, 1, 0x91, 0x97, 1, 0xc6, 0xff, 0xff, 0xff, 0xff},                                                                   // an id of 4 GiB
		append([]byte{version, byte(MessagePack), 0x93, 1, 1, 0xdc, 0xff, 0xff}, bytes.Repeat([]byte{0x91, 0x0c}, 0xffff)...),                                   // unknown events without end
		[]byte("\x01j" + strings.Repeat("[", 200_000)),                                                                                                          // deep nesting
		[]byte("\x01j" + `{"origin":"0000000000000001","first":1,"events":[` + strings.TrimSuffix(strings.Repeat("{},", 80_000), ",") + `]}`),                   // tiny events
		[]byte("\x01j" + `{"origin":"0000000000000001","first":1,"events":[{"kind":1,"change":{"flags":[` + strings.Repeat(`{},`, 80_000) + `{}]}}]}`),          // tiny flag changes
		[]byte("\x01j" + `{"origin":"0000000000000001","first":1,"events":[{"kind":1,"change":{"added":[` + strings.Repeat(`0,`, 100_000) + `0,0]}}]}`),         // tiny ranges
		[]byte("\x01j" + `{"origin":"0000000000000001","first":1,"events":[` + strings.Repeat(`{"kind":2},`, 20_000) + `{"kind":2}]}`),                          // as small as events get
		[]byte("\x01j" + `{"origin":"0000000000000001","first":1,"x":` + strings.Repeat(`{"a":`, 20_000) + `1` + strings.Repeat(`}`, 20_000) + `,"events":[]}`), // deep nesting in an unknown field
	}
}

// TestHostileFrames shows P7: memory stays within a small multiple of the frame.
func TestHostileFrames(t *testing.T) {
	for i, b := range append(hostile(), bytes.Repeat([]byte{version}, MaxFrame+1)) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f, err := Decode(b)
		runtime.ReadMemStats(&after)
		if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(64*len(b)+16<<10); got > limit {
			t.Errorf("frame %d of %d bytes took %d bytes, limit %d", i, len(b), got, limit)
		}
		if err != nil && !reflect.DeepEqual(f, Frame{}) {
			t.Errorf("frame %d: something came besides %v", i, err)
		}
	}
	if _, err := Decode(make([]byte, MaxFrame+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("over the limit: %v", err)
	}
	if _, err := Decode([]byte{2, byte(JSON), '{', '}'}); !errors.Is(err, ErrVersion) {
		t.Errorf("another version: %v", err)
	}
	if _, err := Decode([]byte{version, 'x', '{', '}'}); !errors.Is(err, ErrVersion) {
		t.Errorf("another codec: %v", err)
	}
}

func TestParse(t *testing.T) {
	for _, c := range codecs {
		if got, err := Parse(c.String()); got != c || err != nil {
			t.Errorf("%s: %v, %v", c, got, err)
		}
	}
	if _, err := Parse("gob"); err == nil {
		t.Error("gob is a codec")
	}
}

func fuzz(f *testing.F, c Codec) {
	for _, b := range hostile() {
		if len(b) < 1<<10 && len(b) > 2 {
			f.Add(b[2:])
		}
	}
	f.Add(frame(f, c, 1, 2, sample()...)[2:])
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Decode(append([]byte{version, byte(c)}, b...))
		if err != nil {
			return
		}
		again, err := Decode(frame(t, c, got.Origin, got.First, got.Events...))
		got.Unknown, got.Trailing = 0, 0
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("%+v came back as %+v, %v", got, again, err)
		}
	})
}

func FuzzMessagePack(f *testing.F) { fuzz(f, MessagePack) }
func FuzzJSON(f *testing.F)        { fuzz(f, JSON) }

// TestSkipAgreesWithLibrary shows that skip ends where the library's own does.
func TestSkipAgreesWithLibrary(t *testing.T) {
	values := []any{nil, true, -1, 1 << 40, 1.5, float32(2), "text", strings.Repeat("t", 300), strings.Repeat("t", 70000), []byte{1}, make([]byte, 70000),
		[]int{1, 2, 3}, make([]int, 20), make([]int, 70000), map[string]int{"a": 1}, map[int]any{1: map[int]int{2: 3}}}
	for _, v := range values {
		b, err := msgpack.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		u := &unpacker{b: append(b, 0xc3), r: bytes.NewReader(append(b, 0xc3))}
		if u.skip(1); u.failed || u.r.Len() != 1 {
			t.Errorf("%.40v: failed %v, %d bytes left, want 1", v, u.failed, u.r.Len())
		}
	}
}

func BenchmarkCodec(b *testing.B) {
	e := sample()[0]
	for _, c := range codecs {
		b.Run("encode/"+c.String(), func(b *testing.B) {
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				buf, _ = c.AppendEvent(buf[:0], &e)
			}
			b.ReportMetric(float64(len(buf)), "bytes")
		})
		one := frame(b, c, 1, 1, e)
		b.Run("decode/"+c.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(one); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
