package transfer

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// A uidList is what a dovecot-uidlist file says: the numbering of a Maildir.
type uidList struct {
	Validity uint32
	Next     imap.UID
	UIDs     map[string]imap.UID // by the file's name up to its ":"
}

// Limits of the files that lie beside the mail.
const (
	maxIndexLine = 4096
	maxUIDs      = 10_000_000
)

// readUIDList reads a dovecot-uidlist of version 1 or 3:
//
//	3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1
//	25006 W1394 :1276528487.M364837P9451.kurkku,S=1355:2,S
//
// Lines that make no sense are passed over: what they name gets a new UID.
func readUIDList(r io.Reader) (*uidList, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxIndexLine)
	if !lines.Scan() {
		return nil, fmt.Errorf("dovecot-uidlist is empty: %v", lines.Err())
	}
	list, version, err := uidListHeader(lines.Text())
	if err != nil {
		return nil, err
	}
	for lines.Scan() {
		number, rest, _ := strings.Cut(lines.Text(), " ")
		n, err := strconv.ParseUint(number, 10, 32)
		if err != nil || n == 0 {
			continue
		}
		name := rest
		if version == 3 {
			// Fields of one letter each may stand before the name.
			_, after, ok := strings.Cut(" "+rest, " :")
			if !ok {
				continue
			}
			name = after
		}
		if name, _, _ = strings.Cut(name, ":"); name == "" {
			continue
		}
		if len(list.UIDs) >= maxUIDs {
			return nil, fmt.Errorf("dovecot-uidlist names more than %d messages", maxUIDs)
		}
		// A message that was written twice has the UID of its last line.
		list.UIDs[name] = imap.UID(n)
		if uint64(list.Next) <= n && n < 1<<32-1 {
			list.Next = imap.UID(n + 1)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("dovecot-uidlist: %w", err)
	}
	return list, nil
}

func uidListHeader(line string) (*uidList, int, error) {
	list := &uidList{UIDs: make(map[string]imap.UID)}
	fields := strings.Fields(line)
	var version int
	var validity, next string
	switch {
	case len(fields) == 3 && fields[0] == "1":
		version, validity, next = 1, fields[1], fields[2]
	case len(fields) >= 1 && fields[0] == "3":
		version = 3
		for _, f := range fields[1:] {
			switch f[0] {
			case 'V':
				validity = f[1:]
			case 'N':
				next = f[1:]
			}
		}
	default:
		return nil, 0, fmt.Errorf("dovecot-uidlist has an unknown header: %q", line)
	}
	v, err := strconv.ParseUint(validity, 10, 32)
	n, err2 := strconv.ParseUint(next, 10, 32)
	if err != nil || err2 != nil || v == 0 || n == 0 {
		return nil, 0, fmt.Errorf("dovecot-uidlist has no UIDVALIDITY or no next UID: %q", line)
	}
	list.Validity, list.Next = uint32(v), imap.UID(n)
	return list, version, nil
}

// A uidListWriter writes a dovecot-uidlist of version 3.
type uidListWriter struct{ w *bufio.Writer }

func newUIDListWriter(w io.Writer, validity uint32, next imap.UID) uidListWriter {
	u := uidListWriter{bufio.NewWriter(w)}
	fmt.Fprintf(u.w, "3 V%d N%d\n", validity, next)
	return u
}

func (u uidListWriter) add(uid imap.UID, name string) { fmt.Fprintf(u.w, "%d :%s\n", uid, name) }

func (u uidListWriter) close() error { return u.w.Flush() }
