package transfer

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

// Names in Dovecot's and Courier's Maildirs.
const (
	uidListFile       = "dovecot-uidlist"
	keywordsFile      = "dovecot-keywords"
	subscriptionsFile = "subscriptions"
	courierFile       = "courierimapsubscribed"
)

// openMaildir reads what folders there are below path, one Maildir or a
// Maildir++ tree.
func openMaildir(ctx context.Context, path string, o Options) (*Source, error) {
	if !isMaildir(path) {
		return nil, &fs.PathError{Op: "import", Path: path, Err: errors.New("no Maildir: it has no cur and new")}
	}
	s := &Source{Path: path, Kind: "Maildir"}
	add := func(folder, name string) error {
		f, err := openMaildirFolder(filepath.Join(path, folder), below(o.Into, name))
		if err != nil {
			return err
		}
		s.Folders = append(s.Folders, f)
		return ctx.Err()
	}
	if err := add("", mailbox.Inbox); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	for _, e := range entries { // sorted by name: parents come first
		folder, ok := strings.CutPrefix(e.Name(), ".")
		if !ok || folder == "" || folder == "." || !isMaildir(filepath.Join(path, e.Name())) {
			continue
		}
		s.Kind = "Maildir++"
		if err := add(e.Name(), folderToName(folder)); err != nil {
			return nil, err
		}
	}
	uniqueNames(s.Folders)
	s.Subscriptions, err = readSubscriptions(path, o.Into)
	return s, err
}

// uniqueNames gives folders whose names became the same ("a*b" and "a%b") names of
// their own.
func uniqueNames(folders []Folder) {
	seen := make(map[string]bool)
	for i := range folders {
		for seen[folders[i].Name] {
			folders[i].Name += "_"
		}
		seen[folders[i].Name] = true
	}
}

func isMaildir(path string) bool {
	for _, sub := range []string{"cur", "new"} {
		if info, err := os.Stat(filepath.Join(path, sub)); err != nil || !info.IsDir() {
			return false
		}
	}
	return true
}

// openMaildirFolder reads the indexes of one folder.
func openMaildirFolder(path, name string) (Folder, error) {
	f := Folder{Name: name}
	list := &uidList{}
	file, err := os.Open(filepath.Join(path, uidListFile))
	if err == nil {
		list, err = readUIDList(file)
		file.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f, &fs.PathError{Op: "read", Path: filepath.Join(path, uidListFile), Err: err}
	}
	f.UIDValidity, f.UIDNext = list.Validity, list.Next

	var keywords []imap.Flag
	file, err = os.Open(filepath.Join(path, keywordsFile))
	if err == nil {
		keywords, err = readKeywords(file)
		file.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f, &fs.PathError{Op: "read", Path: filepath.Join(path, keywordsFile), Err: err}
	}

	files, size, err := listMaildir(path, list.UIDs)
	f.Size = size
	f.Items = maildirItems(files, keywords)
	return f, err
}

// A maildirFile is one message of a Maildir.
type maildirFile struct {
	path, name string
	uid        imap.UID // 0: it has none
	size       int64
}

// listMaildir lists the messages in the order of their UIDs, those without one
// last, in the order of their names, which begin with the time of delivery.
func listMaildir(path string, uids map[string]imap.UID) (files []maildirFile, size int64, err error) {
	for _, sub := range []string{"cur", "new"} {
		entries, err := os.ReadDir(filepath.Join(path, sub))
		if err != nil {
			return nil, 0, err
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") {
				continue
			}
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
				continue
			}
			if err != nil {
				return nil, 0, err
			}
			base, _, _ := strings.Cut(e.Name(), ":")
			files = append(files, maildirFile{filepath.Join(path, sub, e.Name()), e.Name(), uids[base], info.Size()})
			size += info.Size()
		}
	}
	slices.SortFunc(files, func(a, b maildirFile) int {
		return cmp.Or(cmp.Compare(a.uid-1, b.uid-1), cmp.Compare(a.name, b.name)) // 0-1 is the highest
	})
	// Two files of one base name, in cur and new, cannot both have its UID.
	for i := 1; i < len(files); i++ {
		if files[i].uid != 0 && files[i].uid == files[i-1].uid {
			files[i].uid = 0
		}
	}
	slices.SortStableFunc(files, func(a, b maildirFile) int { return cmp.Compare(a.uid-1, b.uid-1) })
	return files, size, nil
}

func maildirItems(files []maildirFile, keywords []imap.Flag) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for _, f := range files {
			item, err := maildirItem(f, keywords)
			if !yield(item, err) {
				return
			}
		}
	}
}

func maildirItem(f maildirFile, keywords []imap.Flag) (Item, error) {
	base, flags := parseMaildirName(f.name, keywords)
	item := Item{Key: base, UID: f.uid, Flags: flags, Weight: f.size, Open: func() (io.ReadCloser, error) { return openMail(f.path) }}
	info, err := os.Stat(f.path)
	if err != nil {
		return item, err
	}
	item.Received = info.ModTime()
	r, err := item.Open()
	if err != nil {
		return item, err
	}
	defer r.Close()
	if item.Size, err = io.Copy(io.Discard, r); err != nil {
		return item, &fs.PathError{Op: "read", Path: f.path, Err: err}
	}
	return item, nil
}

// openMail opens a message's file, which Dovecot's zlib plugin may have
// compressed.
func openMail(path string) (io.ReadCloser, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	buffered := bufio.NewReader(file)
	var r io.Reader = buffered
	if magic, _ := buffered.Peek(2); string(magic) == "\x1f\x8b" {
		if r, err = gzip.NewReader(buffered); err != nil {
			file.Close()
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		}
	}
	return readCloser{newCRLFReader(r), file}, nil
}

// A readCloser reads from one and closes the other.
type readCloser struct {
	io.Reader
	io.Closer
}

// readSubscriptions reads Dovecot's subscriptions file, in either version, or
// Courier's.
func readSubscriptions(path, into string) ([]string, error) {
	file, err := os.Open(filepath.Join(path, subscriptionsFile))
	if errors.Is(err, fs.ErrNotExist) {
		file, err = os.Open(filepath.Join(path, courierFile))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	names, err := parseSubscriptions(file)
	for i := range names {
		names[i] = below(into, names[i])
	}
	return names, err
}

// parseSubscriptions reads names with "." between levels, or after the line
// "V\t2" with tabs between them.
func parseSubscriptions(r io.Reader) ([]string, error) {
	var names []string
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxIndexLine)
	version2 := false
	for lines.Scan() {
		line := lines.Text()
		switch {
		case line == "V\t2":
			version2 = true
			continue
		case version2:
			line = strings.ReplaceAll(strings.ReplaceAll(line, ".", maildirDot), "\t", ".")
		case len(line) > len("INBOX.") && strings.EqualFold(line[:len("INBOX.")], "INBOX."):
			line = line[len("INBOX."):] // Courier's prefix
		}
		if line == "" {
			continue
		}
		if name := folderToName(line); mailbox.CheckName(name) == nil && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, lines.Err()
}
