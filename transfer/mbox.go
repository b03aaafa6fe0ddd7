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
		file, err := os.Open(path)
		if err != nil {
			yield(Item{}, err)
			return
		}
		defer file.Close()
		for item, err := range mboxItems(file, modified, mboxo) {
			if !yield(item, err) {
				return
			}
		}
	}
}

// mboxItems returns the messages of an mbox file. Those without a date of
// their own get date.
func mboxItems(file io.ReaderAt, date time.Time, mboxo bool) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		copies := make(map[[sha256.Size]byte]int) // of messages that are the same
		for e, err := range mboxEntries(file) {
			if err != nil {
				yield(Item{}, err)
				return
			}
			item, sum, ok, err := mboxItem(file, e, date, mboxo)
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

// mboxItem reads one message: its flags, its size and the hash of its bytes.
// It returns false for what is no message but the mail program's own.
func mboxItem(file io.ReaderAt, e mboxEntry, date time.Time, mboxo bool) (item Item, sum [sha256.Size]byte, ok bool, err error) {
	open := func() (*mboxReader, error) {
		r := newMboxReader(io.NewSectionReader(file, e.start, e.end-e.start), mboxo)
		return r, r.header()
	}
	r, err := open()
	if err != nil {
		return item, sum, false, err
	}
	if r.meta.internal {
		return item, sum, false, nil
	}
	hash := sha256.New()
	size, err := io.Copy(hash, newCRLFReader(r))
	hash.Sum(sum[:0])
	item = Item{
		Flags:    mailbox.NewFlags(r.meta.flags...),
		Received: date,
		Size:     size,
		Weight:   e.end - e.start,
		Open: func() (io.ReadCloser, error) {
			r, err := open()
			return io.NopCloser(newCRLFReader(r)), err
		},
	}
	if !e.date.IsZero() {
		item.Received = e.date
	}
	return item, sum, true, err
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
		var pos, emptyAt int64 // emptyAt: where the line before began, if it was empty
		inside, empty := false, true
		for {
			line, n, err := mboxLine(r)
			if err != nil && err != io.EOF {
				yield(mboxEntry{}, err)
				return
			}
			if n > 0 && empty && bytes.HasPrefix(line, []byte(fromPrefix)) {
				if date, ok := fromDate(line); ok || pos == 0 {
					if e.end = emptyAt; inside && !yield(e, nil) {
						return
					}
					e, inside = mboxEntry{start: pos + n, date: date}, true
				}
			}
			if empty = len(bytes.TrimRight(line, "\r\n")) == 0 && n > 0; empty {
				emptyAt = pos
			}
			pos += n
			if err == io.EOF {
				if e.end = pos; empty && emptyAt >= e.start {
					e.end = emptyAt
				}
				if inside {
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
