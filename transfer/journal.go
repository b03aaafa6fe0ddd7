package transfer

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

// A Journal remembers which messages of one source are in which mailboxes of
// one account, so that an import that is run again, after an interruption
// or because the source has grown, takes only what is missing.
//
// A message is recognised by its Key and the ID of the mailbox: in a Maildir the
// Key is the file's name up to the ":", in an mbox file the hash of the message.
// Before each batch is appended, the batch is written to the journal and
// synced ("intended"); after, it is marked as done. What was intended but
// not marked is looked for in the mailbox, by the sequence of its sizes and dates from the UID
// on that was the next when the batch was intended: batches are appended
// whole or not at all.
type Journal struct {
	file *os.File
	// Done counts the messages that the journal knew when it was opened.
	Done int
	done map[mailbox.ID]map[string]bool
	open map[mailbox.ID]intent
}

// ErrBusy: another import of the same source into the same account is running.
var ErrBusy = errors.New("another import of this source is running")

// journalHead is the journal's first line.
type journalHead struct {
	Version int    `json:"version"`
	Source  string `json:"source"`
	Account string `json:"account"`
}

const journalVersion = 1

// An intent is a batch on its way into a mailbox.
type intent struct {
	Box   string        `json:"box"`
	Next  imap.UID      `json:"next"` // no message of the batch has a lower UID
	Items []intentEntry `json:"items"`
}

type intentEntry struct {
	Key      string `json:"k"`
	Size     int64  `json:"s"`
	Received int64  `json:"t"` // unix time
}

func (e intentEntry) is(r Row) bool {
	return e.Size == r.Size && time.Unix(e.Received, 0).Equal(r.Received.Truncate(time.Second))
}

// journalLine is each further line: an intent, or what became of the one
// before it.
type journalLine struct {
	Intent *intent `json:"in,omitempty"`
	OK     *bool   `json:"ok,omitempty"`
}

// OpenJournal opens the journal of a source and an account in folder, which it
// makes if it is not there. again forgets what the journal knows. The caller closes it.
func OpenJournal(folder string, account mailbox.AccountID, source string, again bool) (*Journal, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(account.String() + "\x00" + source))
	file, err := os.OpenFile(filepath.Join(folder, hex.EncodeToString(sum[:16])+".journal"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	j := &Journal{file: file, done: make(map[mailbox.ID]map[string]bool), open: make(map[mailbox.ID]intent)}
	if err := j.load(journalHead{journalVersion, source, account.String()}, again); err != nil {
		file.Close()
		return nil, err
	}
	return j, nil
}

// Close closes the journal.
func (j *Journal) Close() error { return j.file.Close() }

func (j *Journal) load(head journalHead, again bool) error {
	if err := syscall.Flock(int(j.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return ErrBusy
		}
		return fmt.Errorf("lock %s: %w", j.file.Name(), err)
	}
	if again {
		if err := j.file.Truncate(0); err != nil {
			return err
		}
	}
	r := bufio.NewReader(j.file)
	var whole int64 // bytes of complete lines: what follows was cut off by a crash
	var last *intent
	for first := true; ; first = false {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if first {
			var h journalHead
			if err := json.Unmarshal(line, &h); err != nil || h != head {
				return fmt.Errorf("%s is not the journal of %s: remove it to import everything again", j.file.Name(), head.Source)
			}
		} else if last, err = j.replay(line, last); err != nil {
			return fmt.Errorf("%s: %w: remove it to import everything again", j.file.Name(), err)
		}
		whole += int64(len(line))
	}
	if err := j.file.Truncate(whole); err != nil {
		return err
	}
	if _, err := j.file.Seek(whole, io.SeekStart); err != nil {
		return err
	}
	if whole == 0 {
		return j.write(head)
	}
	return nil
}

func (j *Journal) replay(line []byte, last *intent) (*intent, error) {
	var l journalLine
	if err := json.Unmarshal(line, &l); err != nil {
		return nil, err
	}
	switch {
	case l.OK != nil && last == nil:
		return nil, errors.New("an outcome without an intent")
	case l.OK != nil:
		box, err := mailbox.ParseID(last.Box)
		if err != nil {
			return nil, err
		}
		if *l.OK {
			j.Done += len(last.Items)
		}
		j.settle(box, *last, *l.OK)
		return nil, nil
	case l.Intent == nil:
		return nil, errors.New("a line that says nothing")
	}
	box, err := mailbox.ParseID(l.Intent.Box)
	if err != nil {
		return nil, err
	}
	j.open[box] = *l.Intent
	return l.Intent, nil
}

// has reports whether the message is in the mailbox, or was.
func (j *Journal) has(box mailbox.ID, key string) bool { return j.done[box][key] }

// pending returns the batch whose fate is not known, if there is one.
func (j *Journal) pending(box mailbox.ID) (intent, bool) {
	in, ok := j.open[box]
	return in, ok
}

// intend writes down, durably, what is about to be appended.
func (j *Journal) intend(in intent) error {
	if err := j.write(journalLine{Intent: &in}); err != nil {
		return err
	}
	return j.file.Sync()
}

// finish writes down what became of in, which was intended last or is pending. That it need
// not be durable is what pending is for.
func (j *Journal) finish(box mailbox.ID, in intent, ok bool) error {
	if _, pending := j.open[box]; pending {
		// Other batches may stand between the two: say again what it was.
		if err := j.write(journalLine{Intent: &in}); err != nil {
			return err
		}
	}
	j.settle(box, in, ok)
	return j.write(journalLine{OK: &ok})
}

func (j *Journal) settle(box mailbox.ID, in intent, ok bool) {
	delete(j.open, box)
	if !ok {
		return
	}
	if j.done[box] == nil {
		j.done[box] = make(map[string]bool)
	}
	for _, e := range in.Items {
		j.done[box][e.Key] = true
	}
}

// write writes one line, in one piece.
func (j *Journal) write(v any) error {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		return err
	}
	_, err := j.file.Write(b.Bytes())
	return err
}
