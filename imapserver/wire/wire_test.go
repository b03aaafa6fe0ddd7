package wire

import (
	"bufio"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
)

// A client plays the other end: it holds the octets that it sends by itself in
// out, and counts the continuation requests that it got.
type client struct {
	out       io.Reader
	continued int
}

func (c *client) Read(p []byte) (int, error) { return c.out.Read(p) }

// newDecoder returns a Decoder that reads input through a buffer of size octets.
func newDecoder(input string, size int) (*Decoder, *client) {
	c := &client{out: strings.NewReader(input)}
	d := &Decoder{Limits: DefaultLimits()}
	d.Continue = func() error {
		c.continued++
		return nil
	}
	d.Reset(bufio.NewReaderSize(c, size))
	return d, c
}

// appended is an Append with the octets of its message.
type appended struct {
	Append
	Octets string
}

// rest reads the arguments of cmd, whatever command it is.
func rest(d *Decoder, cmd Command) (any, error) {
	name, uid := strings.CutPrefix(cmd.Name, "UID ")
	switch name {
	case "LOGIN":
		return d.Login()
	case "AUTHENTICATE":
		return d.Authenticate()
	case "ID":
		return d.ID()
	case "ENABLE":
		return d.Enable()
	case "COMPRESS":
		return d.Compress()
	case "SELECT", "EXAMINE":
		return d.Select()
	case "CREATE":
		return d.Create()
	case "DELETE", "SUBSCRIBE", "UNSUBSCRIBE", "GETQUOTAROOT":
		return d.OneMailbox()
	case "RENAME":
		from, to, err := d.Rename()
		return [2]string{from, to}, err
	case "LIST":
		return d.List()
	case "LSUB":
		return d.LSub()
	case "STATUS":
		return d.Status()
	case "APPEND":
		return readAppend(d)
	case "FETCH":
		return d.Fetch(uid)
	case "STORE":
		return d.Store(uid)
	case "SEARCH":
		return d.Search()
	case "COPY", "MOVE":
		return d.Copy(uid)
	case "EXPUNGE":
		if uid {
			return d.UIDExpunge()
		}
	case "GETQUOTA":
		return d.GetQuota()
	case "SETQUOTA":
		return d.SetQuota()
	}
	return nil, d.End()
}

func readAppend(d *Decoder) (any, error) {
	a, err := d.Append()
	if err != nil {
		return nil, err
	}
	if err := a.Message.Accept(); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(a.Message)
	if err != nil {
		return nil, err
	}
	if err := d.AppendEnd(a); err != nil {
		return nil, err
	}
	a.Message = nil
	return appended{a, string(b)}, nil
}

// parse decodes one command without its tag.
func parse(command string, change ...func(*Decoder)) (any, error) {
	d, _ := newDecoder("t "+command+"\r\n", 4096)
	for _, f := range change {
		f(d)
	}
	cmd, err := d.Command()
	if err != nil {
		return nil, err
	}
	return rest(d, cmd)
}

func utf8Mode(d *Decoder) { d.UTF8 = true }

// A parseTest says what becomes of a command. A nil want means *SyntaxError.
type parseTest struct {
	in   string
	want any
}

func runParse(t *testing.T, tests []parseTest, change ...func(*Decoder)) {
	t.Helper()
	for _, tt := range tests {
		got, err := parse(tt.in, change...)
		if tt.want == nil {
			if _, ok := errors.AsType[*SyntaxError](err); !ok {
				t.Errorf("%s\n got %+v, %v\nwant a SyntaxError", tt.in, got, err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s\n got %+v, %v\nwant %+v", tt.in, got, err, tt.want)
		}
	}
}

func seqs(start, stop uint32) imap.SeqSet { return imap.SeqSet{{Start: start, Stop: stop}} }

func uids(start, stop imap.UID) imap.UIDSet { return imap.UIDSet{{Start: start, Stop: stop}} }
