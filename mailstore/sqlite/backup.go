package sqlite

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/blob/fs"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
)

// How far the numbers of a copy are ahead of those of the store: further than
// any mailbox gets until the copy is needed.
const (
	uidJump    = 1_000_000
	modseqJump = 1 << 32
)

// Backup copies the store, while it serves, into a new folder that Open can
// open. What is committed when it begins is in the copy. It fails with kind
// AlreadyExists if the folder holds a copy already. After another error
// it can be tried again.
//
// Clients will have seen UIDs and ModSeqs that the copy knows nothing of. So it
// goes on with numbers far ahead, and as another Line: nothing that was told is told again of another message.
func (s *Store) Backup(ctx context.Context, dir string) error {
	const op = "back up"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return failure(op, err)
	}
	target := filepath.Join(dir, databaseName)
	if _, err := os.Stat(target); !errors.Is(err, os.ErrNotExist) {
		return refuse(mailbox.AlreadyExists, op, "the folder holds a copy already")
	}
	files, err := fs.OS(filepath.Join(dir, blobsName))
	if err != nil {
		return failure(op, err)
	}
	blobs, err := fs.Open(files)
	if err != nil {
		return failure(op, err)
	}
	s.keepBlobs.RLock()
	defer s.keepBlobs.RUnlock()
	// Under another name until it is whole.
	partial := target + ".partial"
	if err := os.Remove(partial); err != nil && !errors.Is(err, os.ErrNotExist) {
		return failure(op, err)
	}
	if err := s.vacuumInto(ctx, partial); err != nil {
		return failure(op, err)
	}
	c, err := sqlite3.Open(partial, "")
	if err != nil {
		return failure(op, err)
	}
	err = s.copyBlobs(ctx, c, blobs)
	if err == nil {
		err = jump(c)
	}
	if err = errors.Join(err, c.Close()); err != nil {
		return failure(op, err)
	}
	if err := os.Rename(partial, target); err != nil {
		return failure(op, err)
	}
	return failure(op, syncDir(dir))
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// vacuumInto writes a compact copy of the database, synced.
func (s *Store) vacuumInto(ctx context.Context, target string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := s.connect(s.o.ReaderCache)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, c.Interrupt)()
	err = c.Exec(`VACUUM INTO ?`, target)
	return errors.Join(err, c.Close())
}

// copyBlobs copies the blobs that the copied database c names.
func (s *Store) copyBlobs(ctx context.Context, c *sqlite3.Conn, to blob.Store) error {
	return rows(c, `SELECT blob FROM bodies WHERE blob IS NOT NULL`, func(r *sqlite3.Stmt) error {
		var id blob.ID
		copy(id[:], r.Bytes(0))
		b, err := s.blobs.Open(ctx, id)
		if err != nil {
			return err
		}
		defer b.Close()
		_, err = to.Put(ctx, id, io.NewSectionReader(b, 0, math.MaxInt64))
		return err
	})
}

// jump moves the numbers of the copied database ahead. Changes since before are
// no longer known to be all: the floors say so.
func jump(c *sqlite3.Conn) error {
	line := mailbox.NewID()
	if err := c.Exec(`BEGIN`); err != nil {
		return err
	}
	if err := c.Exec(`UPDATE store SET line = ?`, number(line)); err != nil {
		return err
	}
	if err := c.Exec(`UPDATE mailboxes SET uidnext = min(uidnext + ?1, ?2), modseq = modseq + ?3, floor = modseq + ?3`,
		uidJump, int64(maxUID), int64(modseqJump)); err != nil {
		return err
	}
	// Any message may have been another when clients were told of it last.
	if err := c.Exec(`UPDATE messages SET modseq = (SELECT b.modseq FROM mailboxes b WHERE b.box = messages.box) WHERE box IN (SELECT box FROM mailboxes)`); err != nil {
		return err
	}
	return c.Exec(`COMMIT`)
}
