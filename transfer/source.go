package transfer

import (
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

// A Source is what is imported from.
type Source struct {
	// Path is where it is, absolute and without symbolic links.
	Path string
	// Kind names its form for people: "mbox", "Maildir", "Maildir++".
	Kind    string
	Folders []Folder
	// Subscriptions are names of mailboxes, in Starling's form.
	Subscriptions []string
}

// A Folder is one mailbox of a Source.
type Folder struct {
	Name string // in Starling's form
	// UIDValidity and UIDNext are the numbering that clients know, 0 if there is none.
	UIDValidity uint32
	UIDNext     imap.UID
	// Size is the sum of what there is to read, in bytes, as far as it is known: for
	// a progress bar.
	Size int64
	// Items are the messages in ascending order of UID, those without one last.
	// An error speaks of one message or of all the rest; the walk may go on.
	Items iter.Seq2[Item, error]
}

// An Item is one message of a Folder.
type Item struct {
	// Key identifies the message within its folder, also when the import runs
	// again and the source has changed meanwhile.
	Key      string
	UID      imap.UID // 0: it has none
	Flags    mailbox.Flags
	Received time.Time
	Size     int64 // of what Open returns, in bytes
	Weight   int64 // what the item is of Folder.Size
	// Open returns the message with CRLF line ends.
	Open func() (io.ReadCloser, error)
}

// Options say how a Source is read.
type Options struct {
	// Into is the mailbox that takes an mbox file or a Maildir, and the one
	// above all others of a Maildir++ tree. Empty: INBOX, or none.
	Into string
	// MboxO reads an mbox file as mboxo, where only "From " is quoted; otherwise
	// as mboxrd, where each quoting puts one more ">" before it.
	MboxO bool
}

// Open finds out what is at path and returns it as a Source. It reads names
// and indexes but no messages.
func Open(ctx context.Context, path string, o Options) (*Source, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if o.Into != "" {
		o.Into = mailbox.CanonicalName(o.Into)
		if err := mailbox.CheckName(o.Into); err != nil {
			return nil, err
		}
	}
	switch {
	case info.Mode().IsRegular():
		return openMbox(path, info, o)
	case !info.IsDir():
		return nil, fmt.Errorf("%s is neither a file nor a folder", path)
	}
	return openMaildir(ctx, path, o)
}
