package transfer

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"time"

	"github.com/starling-mail/starling/mailbox"
)

// openMbox returns an mbox file as a Source of one folder.
func openMbox(path string, info fs.FileInfo, o Options) (*Source, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	head := make([]byte, len(fromPrefix))
	if n, err := io.ReadFull(file, head); n > 0 && (err != nil || string(head) != fromPrefix) {
		return nil, &fs.PathError{Op: "import", Path: path, Err: errors.New(`no mbox file: it does not begin with "From "`)}
	}
	name := mailbox.Inbox
	if o.Into != "" {
		name = o.Into
	}
	return &Source{Path: path, Kind: "mbox", Folders: []Folder{{
		Name:  name,
		Size:  info.Size(),
		Items: mboxFileItems(path, info.ModTime(), o.MboxO),
	}}}, nil
}

func mboxFileItems(path string, modified time.Time, mboxo bool) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		box := mboxFile{date: modified, mboxo: mboxo, open: func() (readerAtCloser, error) { return os.Open(path) }}
		for item, err := range box.items() {
			if !yield(item, err) {
				return
			}
		}
	}
}

// An mboxFile is an mbox file that is being read.
type mboxFile struct {
	open  func() (readerAtCloser, error)
	date  time.Time // of messages without one of their own
	mboxo bool
}

type readerAtCloser interface {
	io.ReaderAt
	io.Closer
}

// items returns the messages.
func (m mboxFile) items() iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		file, err := m.open()
		if err != nil {
			yield(Item{}, err)
			return
		}
		defer file.Close()
		copies := make(map[[sha256.Size]byte]int) // of messages that are the same
		for e, err := range mboxEntries(file) {
			if err != nil {
				yield(Item{}, err)
				return
			}
			item, sum, ok, err := m.item(file, e)
			if !ok && err == nil {
				continue
			}
			copies[sum]++
			item.Key = fmt.Sprintf("%s.%d", hex.EncodeToString(sum[:16]), copies[sum])
			if !yield(item, err) {
				return
			}
		}
	}
}

// item reads one message: its flags, its size and the hash of its bytes.
// It returns false for what is no message but the mail program's own.
func (m mboxFile) item(file io.ReaderAt, e mboxEntry) (item Item, sum [sha256.Size]byte, ok bool, err error) {
	item = Item{Received: m.date, Weight: e.end - e.start, Open: func() (io.ReadCloser, error) { return m.message(e) }}
	r, err := m.read(file, e)
	if err != nil || r.meta.internal {
		return item, sum, false, err
	}
	item.Flags = mailbox.NewFlags(r.meta.flags...)
	if !e.date.IsZero() {
		item.Received = e.date
	}
	hash := sha256.New()
	item.Size, err = io.Copy(hash, newCRLFReader(r))
	hash.Sum(sum[:0])
	return item, sum, true, err
}

// read returns a reader of one message that has read the header.
func (m mboxFile) read(file io.ReaderAt, e mboxEntry) (*mboxReader, error) {
	r := newMboxReader(io.NewSectionReader(file, e.start, e.end-e.start), m.mboxo)
	return r, r.header()
}

// message opens one message.
func (m mboxFile) message(e mboxEntry) (io.ReadCloser, error) {
	file, err := m.open()
	if err != nil {
		return nil, err
	}
	r, err := m.read(file, e)
	if err != nil {
		file.Close()
		return nil, err
	}
	return readCloser{newCRLFReader(r), file}, nil
}

// fromPrefix begins the line before each message.
const fromPrefix = "From "

// An mboxEntry is where a message lies in an mbox file, without its From line
// and the empty line after it.
type mboxEntry struct {
	start, end int64
	date       time.Time // of the From line; zero if it has none
}

// maxFromLine is how much of a From line is looked at.
const maxFromLine = 1024

// mboxEntries finds the messages of an mbox file. One begins after a line
// "From " which stands at the file's start or after an empty line. Where such
// lines are not quoted in bodies, as some programs leave them, only one
// that ends in a date counts.
func mboxEntries(file io.ReaderAt) iter.Seq2[mboxEntry, error] {
	return func(yield func(mboxEntry, error) bool) {
		r := bufio.NewReaderSize(io.NewSectionReader(file, 0, 1<<62), 64<<10)
		var e mboxEntry
		inside := false
		var pos int64
		empty := true       // the line before was empty, or there is none
		var emptyAt int64   // where it began
		var headerEnd int64 // the first empty line after e.start; 0: none yet
		// end is where the message ends that pos is behind. The last empty line
		// belongs to the file, unless it is the one that ends the header.
		end := func() int64 {
			if empty && emptyAt > headerEnd {
				return emptyAt
			}
			return pos
		}
		for {
			line, n, err := mboxLine(r)
			if err != nil && err != io.EOF {
				yield(mboxEntry{}, err)
				return
			}
			if n > 0 && empty && bytes.HasPrefix(line, []byte(fromPrefix)) {
				if date, ok := fromDate(line); ok || pos == 0 {
					if e.end = end(); inside && !yield(e, nil) {
						return
					}
					pos += n
					e, inside, empty, headerEnd = mboxEntry{start: pos, date: date}, true, false, 0
					n = 0
				}
			}
			if n > 0 {
				if empty = len(bytes.TrimRight(line, "\r\n")) == 0; empty {
					emptyAt = pos
					if headerEnd == 0 {
						headerEnd = pos
					}
				}
			}
			pos += n
			if err == io.EOF {
				if e.end = end(); inside {
					yield(e, nil)
				}
				return
			}
		}
	}
}

// mboxLine reads a line and returns its beginning, valid until the next read,
// and its length. io.EOF comes after the last line.
func mboxLine(r *bufio.Reader) (line []byte, n int64, err error) {
	part, err := r.ReadSlice('\n')
	n = int64(len(part))
	if err == bufio.ErrBufferFull {
		line = bytes.Clone(part[:min(len(part), maxFromLine)])
		for err == bufio.ErrBufferFull {
			part, err = r.ReadSlice('\n')
			n += int64(len(part))
		}
		return line, n, err
	}
	return part[:min(len(part), maxFromLine)], n, err
}

// fromLayouts are the dates of From lines: asctime's, with what programs put
// into it.
var fromLayouts = [...]string{
	"Mon Jan 2 15:04:05 2006",
	"Mon Jan 2 15:04:05 -0700 2006",
	"Mon Jan 2 15:04:05 2006 -0700",
	"Mon Jan 2 15:04:05 MST 2006",
	"Mon Jan 2 15:04 2006",
	"Mon, 2 Jan 2006 15:04:05 -0700",
}

// fromDate returns the date at the end of a From line. It is taken as UTC
// where it names no zone.
func fromDate(line []byte) (time.Time, bool) {
	fields := bytes.Fields(line)
	if len(fields) < 2 {
		return time.Time{}, false
	}
	// "From", an address that may hold spaces or be absent, then 5 or 6 words.
	for n := 4; n <= 6; n++ {
		if len(fields)-1 < n {
			break
		}
		text := string(bytes.Join(fields[len(fields)-n:], []byte{' '}))
		for _, layout := range fromLayouts {
			if t, err := time.Parse(layout, text); err == nil {
				return t, true
			}
		}
	}
	return time.Time{}, false
}
