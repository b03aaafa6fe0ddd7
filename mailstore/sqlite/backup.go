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

// Backup copies the store, while it serves, into a new folder that Open can
// open. What is committed when it begins is in the copy. It fails with kind
// AlreadyExists if the folder holds a copy already; what it leaves after another error is no copy.
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
	if err := s.vacuumInto(ctx, target); err != nil {
		return failure(op, err)
	}
	return failure(op, s.copyBlobs(ctx, target, blobs))
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

// copyBlobs copies the blobs that the copied database names.
func (s *Store) copyBlobs(ctx context.Context, database string, to blob.Store) error {
	c, err := sqlite3.Open(database, "")
	if err != nil {
		return err
	}
	err = rows(c, `SELECT blob FROM bodies WHERE blob IS NOT NULL`, func(r *sqlite3.Stmt) error {
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
	return errors.Join(err, c.Close())
}
