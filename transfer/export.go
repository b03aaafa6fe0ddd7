package transfer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// Export writes all mailboxes of a store as a Maildir++ tree with Dovecot's
// files beside the mail. The folder must be empty or absent. Total is told the
// size of all messages before the first is written; it may be nil.
//
// Line ends become LF, as Maildirs have them; a message that would not come
// back the same by Import is written with those that it has.
func Export(ctx context.Context, store Store, folder string, total func(bytes int64), w Watcher) (Result, error) {
	var result Result
	if entries, err := os.ReadDir(folder); err == nil && len(entries) > 0 {
		return result, &fs.PathError{Op: "export", Path: folder, Err: errors.New("the folder is not empty")}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return result, err
	}
	infos, err := store.List(ctx)
	if err != nil {
		return result, err
	}
	if total != nil {
		var sum int64
		for _, info := range infos {
			sum += info.Counts.Size
		}
		total(sum)
	}
	ex := exporter{store: store, watch: w}
	// The tree is a Maildir itself: INBOX.
	if err := makeMaildir(folder); err != nil {
		return result, err
	}
	for _, info := range infos {
		if info.ID.IsZero() {
			continue
		}
		if err := ex.folder(ctx, info, filepath.Join(folder, nameToFolder(info.Name))); err != nil {
			return ex.result, fmt.Errorf("%s: %w", info.Name, err)
		}
		ex.result.Folders++
	}
	return ex.result, writeSubscriptions(folder, infos)
}

type exporter struct {
	store  Store
	watch  Watcher
	result Result
}

// folder writes one mailbox.
func (ex *exporter) folder(ctx context.Context, info mailstore.Info, path string) error {
	if err := makeMaildir(path); err != nil {
		return err
	}
	list, err := os.OpenFile(filepath.Join(path, uidListFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer list.Close()
	// UIDNEXT is that of the moment when the list was read: what has come since
	// is not exported, so that the numbers agree.
	uids := newUIDListWriter(list, info.UIDValidity, info.Counts.UIDNext)
	var keywords keywordTable
	for row, err := range ex.store.Rows(ctx, info.ID, 1) {
		if err != nil {
			return err
		}
		if row.UID >= info.Counts.UIDNext {
			break
		}
		// W is the size with CRLF, whatever line ends the file has; Dovecot believes it.
		base := fmt.Sprintf("%d.V%dU%d.starling,W=%d", row.Received.Unix(), info.UIDValidity, row.UID, row.Size)
		err := ex.message(ctx, info.ID, row, path, base, base+":"+keywords.info(row.Flags))
		if mailbox.KindOf(err) == mailbox.Expunged {
			continue // while we were at it
		}
		if err != nil {
			return err
		}
		uids.add(row.UID, base)
		ex.result.Messages++
		ex.watch.progress(info.Name, row.Size)
	}
	if len(keywords.lost) > 0 {
		ex.watch.warn("%s: a Maildir has room for %d keywords only; these are lost: %s", info.Name, maildirKeywords, strings.Join(keywords.lost, " "))
	}
	if err := uids.close(); err != nil {
		return err
	}
	if len(keywords.words) == 0 {
		return nil
	}
	var b bytes.Buffer
	if err := keywords.writeTo(&b); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(path, keywordsFile), b.Bytes(), 0o600)
}

// message writes one message as path/tmp/base and moves it to its place.
func (ex *exporter) message(ctx context.Context, box mailbox.ID, row Row, path, base, name string) error {
	temporary := filepath.Join(path, "tmp", base)
	exact, err := ex.write(ctx, box, row, temporary, true)
	if err == nil && !exact {
		_, err = ex.write(ctx, box, row, temporary, false)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	if err := os.Chtimes(temporary, row.Received, row.Received); err != nil {
		return err
	}
	return os.Rename(temporary, filepath.Join(path, "cur", name))
}

// write writes a message's bytes, with LF for CRLF or as they are, and reports
// whether newCRLFReader would give the same bytes again.
func (ex *exporter) write(ctx context.Context, box mailbox.ID, row Row, path string, lf bool) (exact bool, err error) {
	body, err := ex.store.Body(ctx, box, row.UID)
	if err != nil {
		return false, err
	}
	defer body.Close()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if !lf {
		_, err = io.Copy(file, body)
		return true, err
	}
	out := bufio.NewWriter(file)
	exact, err = toLF(out, body)
	return exact, errors.Join(err, out.Flush())
}

// toLF copies r to w with each CRLF as LF. It reports false where turning LF
// into CRLF would not give the same bytes again: there are other LFs, or CRs
// before a CRLF, or what looks compressed.
func toLF(w *bufio.Writer, r io.Reader) (exact bool, err error) {
	in := bufio.NewReader(r)
	exact = true
	if head, _ := in.Peek(2); string(head) == "\x1f\x8b" {
		exact = false
	}
	var before, beforeThat byte
	for {
		b, err := in.ReadByte()
		if err == io.EOF {
			if before == '\r' {
				w.WriteByte('\r')
			}
			return exact, nil
		}
		if err != nil {
			return false, err
		}
		switch {
		case before != '\r':
			exact = exact && b != '\n'
		case b == '\n':
			exact = exact && beforeThat != '\r'
		default:
			w.WriteByte('\r')
		}
		if b != '\r' {
			w.WriteByte(b) // an error stays until Flush
		}
		beforeThat, before = before, b
	}
}

// makeMaildir makes a folder with cur, new and tmp.
func makeMaildir(path string) error {
	for _, sub := range []string{"", "cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(path, sub), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// writeSubscriptions writes Dovecot's subscriptions file.
func writeSubscriptions(path string, infos []mailstore.Info) error {
	var b bytes.Buffer
	for _, info := range infos {
		if !info.Subscribed {
			continue
		}
		name := strings.TrimPrefix(nameToFolder(info.Name), ".")
		if name == "" {
			name = mailbox.Inbox
		}
		b.WriteString(name + "\n")
	}
	return os.WriteFile(filepath.Join(path, subscriptionsFile), b.Bytes(), 0o600)
}
