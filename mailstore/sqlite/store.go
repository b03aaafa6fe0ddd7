// Package sqlite is the embedded store: one data folder, one process, nothing
// else to install. Metadata and small bodies are in one SQLite database, large
// bodies in files beside it (blob/fs).
//
// One goroutine writes, in groups: what arrives while a commit is under way is
// committed together, so throughput grows with the number of writers while each
// reply still waits for its own fsync. Reads have connections of their own and never
// wait for the writer.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	libsqlite "modernc.org/sqlite"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/blob/fs"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/incoming"
	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
)

// Names in the data folder.
const (
	databaseName = "mail.db"
	blobsName    = "blobs"
	lockName     = "lock"
)

// A Store is a way to an open data folder, with a Publish of its own. It implements
// mailstore.Store and mailstore.Checker.
type Store struct {
	*folder
	publish mailstore.Publish
	once    sync.Once
	cerr    error // of Close
}

// A folder is an open data folder.
type folder struct {
	o        Options
	path     string // of the database
	lock     *os.File
	system   [16]byte
	line     uint64
	blobs    *blob.Meter
	tally    mailstore.Tally
	codec    *incoming.Codec
	receiver *incoming.Receiver
	writer   *writer
	readers  *readers

	keepBlobs sync.RWMutex // held for reading while blobs must not be deleted

	stop  context.CancelFunc // ends maintenance
	tasks sync.WaitGroup
	ways  atomic.Int32 // Stores that are not closed
}

var (
	_ mailstore.Store      = (*Store)(nil)
	_ mailstore.UIDAdopter = (*Store)(nil)
	_ mailstore.Meter      = (*Store)(nil)
)

// Open opens the store in a data folder, making a new one if there is none, and
// brings its schema up to date. An error of kind InUse says that another process has it open.
func Open(ctx context.Context, o Options) (*Store, error) {
	f := &folder{o: o.withDefaults(), path: filepath.Join(o.Dir, databaseName), stop: func() {}}
	s := f.way(f.o.Publish)
	if err := s.open(ctx); err != nil {
		s.Close()
		return nil, failure("open store", err)
	}
	maintain, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.tasks.Go(func() { s.maintain(maintain) })
	return s, nil
}

// Share returns another way to the same data folder, for another node in this process: what
// is changed through it is told to publish, in the order of the commits, and to no other.
// The folder is closed with the last of its Stores.
func (s *Store) Share(publish mailstore.Publish) *Store { return s.way(publish) }

func (f *folder) way(publish mailstore.Publish) *Store {
	f.ways.Add(1)
	return &Store{folder: f, publish: publish}
}

func (s *Store) open(ctx context.Context) (err error) {
	if err := os.MkdirAll(s.o.Dir, 0o700); err != nil {
		return err
	}
	if s.lock, err = lock(filepath.Join(s.o.Dir, lockName)); err != nil {
		return err
	}
	files := s.o.Files
	if files == nil {
		if files, err = fs.OS(filepath.Join(s.o.Dir, blobsName)); err != nil {
			return err
		}
	}
	bodies, err := fs.Open(files)
	if err != nil {
		return err
	}
	s.blobs = blob.NewMeter(bodies)
	if s.codec, err = incoming.NewCodec(!s.o.Uncompress); err != nil {
		return err
	}
	// As every Linux distribution's SQLite does. It syncs what fsync does, but for
	// the time of the last change; where there is none, fsync stays.
	if _, err := libsqlite.Fdatasync(true); err != nil && !errors.Is(err, libsqlite.ErrFdatasyncUnavailable) {
		return err
	}
	s.receiver = incoming.NewReceiver(s.o.Inline, s.o.Message, s.blobs, s.codec)
	if err := migrate(ctx, s.path); err != nil {
		return err
	}
	if s.writer, err = newWriter(s); err != nil {
		return err
	}
	if err := s.identify(ctx); err != nil {
		return err
	}
	s.readers, err = newReaders(s)
	return err
}

// connect opens a connection with a page cache of that many KiB.
func (s *Store) connect(cache int) (*sqlite3.Conn, error) {
	c, err := sqlite3.Open(s.path, s.o.VFS)
	if err != nil {
		return nil, err
	}
	for _, pragma := range []string{
		"PRAGMA busy_timeout = 5000",
		"PRAGMA journal_mode = WAL",
		"PRAGMA synchronous = FULL", // NORMAL can lose acknowledged mail
		fmt.Sprintf("PRAGMA cache_size = -%d", cache),
		"PRAGMA temp_store = MEMORY",
		"PRAGMA trusted_schema = OFF",
		fmt.Sprintf("PRAGMA wal_autocheckpoint = %d", checkpointPages),
	} {
		if err := c.Exec(pragma); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// identify reads who this store is, or decides it.
func (s *Store) identify(ctx context.Context) error {
	return s.write(ctx, "open store", func(t *tx) error {
		id, line := mailbox.NewID(), mailbox.NewID()
		if err := t.exec(`INSERT OR IGNORE INTO store (one, system, line, commits, feed_floor, feed_floor_at) VALUES (1, ?, ?, 0, 0, 0)`,
			id[:], number(line)); err != nil {
			return err
		}
		_, err := t.row(`SELECT system, line FROM store`, func(r *sqlite3.Stmt) {
			copy(s.system[:], r.Bytes(0))
			s.line = uint64(r.Int(1))
		})
		return err
	})
}

// number makes a positive number of a random id.
func number(id mailbox.ID) int64 {
	var n uint64
	for _, b := range id[:8] {
		n = n<<8 | uint64(b)
	}
	return int64(n>>1 | 1)
}

// Ready implements mailstore.Store.
func (s *Store) Ready(context.Context) error {
	if err := s.writer.trouble(); err != nil {
		return unavailable("ready", err)
	}
	return nil
}

// Stats implements mailstore.Meter. The Pool is that of the connections for reading.
func (s *Store) Stats() mailstore.Stats {
	out := s.tally.Stats()
	out.Waiting, out.Pool = len(s.writer.queue), s.readers.figures()
	return out
}

// Blobs returns figures of the large bodies' store.
func (s *Store) Blobs() blob.Stats { return s.blobs.Stats() }

// Close implements mailstore.Store. It may be called twice.
func (s *Store) Close() error {
	s.once.Do(func() {
		if s.ways.Add(-1) > 0 {
			// Callers who left may have changes under way, which are published still.
			s.cerr = s.write(context.Background(), "close store", func(*tx) error { return nil })
			return
		}
		s.stop()
		s.tasks.Wait()
		var errs []error
		if s.readers != nil {
			errs = append(errs, s.readers.close())
		}
		if s.writer != nil {
			errs = append(errs, s.writer.close())
		}
		if s.codec != nil {
			s.codec.Close()
		}
		if s.lock != nil {
			errs = append(errs, s.lock.Close()) // which unlocks it
		}
		s.cerr = errors.Join(errs...)
	})
	return s.cerr
}
