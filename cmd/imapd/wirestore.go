package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/config"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/postgres"
	"github.com/starling-mail/starling/mailstore/sharded"
	"github.com/starling-mail/starling/mailstore/sqlite"
	"github.com/starling-mail/starling/message"
)

// openStore opens the store of the kind that c has chosen.
func (n *node) openStore(ctx context.Context, c *config.Config) (mailstore.Store, error) {
	if c.Store.Kind == config.StorePostgres {
		return n.openPostgres(ctx, c)
	}
	return n.openSQLite(ctx, c)
}

func (n *node) openSQLite(ctx context.Context, c *config.Config) (*sqlite.Store, error) {
	return sqlite.Open(ctx, sqlite.Options{
		Dir:          c.Server.DataDir,
		Publish:      n.bus.Publish,
		Log:          n.log,
		DefaultQuota: n.defaultQuota,
		Inline:       int(c.Store.Inline),
		Uncompress:   !c.Store.Compress,
		Message:      parserLimits(c),
		Readers:      c.Store.Readers,
		ReaderCache:  int(c.Store.ReaderCache >> 10),
		WriterCache:  int(c.Store.WriterCache >> 10),
		MaxMailboxes: c.Store.MaxMailboxes,
		MaxKeywords:  c.Store.MaxKeywords,
		MaxCopy:      c.Store.MaxCopy,

		FeedRetention:    c.Store.FeedRetention,
		ExpungeRetention: c.Store.ExpungeRetention,
	})
}

// openPostgres takes the data folder as sqlite does: the folder has the control
// socket, and the name under which this node writes blobs is used once.
func (n *node) openPostgres(ctx context.Context, c *config.Config) (_ mailstore.Store, err error) {
	if err := os.MkdirAll(c.Server.DataDir, 0o700); err != nil {
		return nil, err
	}
	lock, err := lockFolder(c.Server.DataDir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()
	if len(c.Store.Shards) > 0 {
		s, err := n.openShards(ctx, c)
		if err != nil {
			return nil, err
		}
		return lockedShards{s, lock}, nil
	}
	blobs, err := openBlobs(ctx, c, "")
	if err != nil {
		return nil, err
	}
	s, err := postgres.Open(ctx, n.postgresOptions(c, c.Store.Postgres.DSN, blobs))
	if err != nil {
		return nil, err
	}
	return lockedStore{s, lock}, nil
}

// A lockedStore is a store of many nodes, with the lock of this node's data folder.
type lockedStore struct {
	*postgres.Store
	lock *os.File
}

// Close implements mailstore.Store.
func (s lockedStore) Close() error { return errors.Join(s.Store.Close(), s.lock.Close()) }

// lockedShards are the same for several databases.
type lockedShards struct {
	*sharded.Store
	lock *os.File
}

// Close implements mailstore.Store.
func (s lockedShards) Close() error { return errors.Join(s.Store.Close(), s.lock.Close()) }

func (n *node) postgresOptions(c *config.Config, dsn string, blobs blob.Store) postgres.Options {
	return postgres.Options{
		URL:            dsn,
		Blobs:          blobs,
		Publish:        n.bus.Publish,
		Log:            n.log,
		DefaultQuota:   n.defaultQuota,
		Inline:         int(c.Store.Inline),
		Uncompress:     !c.Store.Compress,
		Message:        parserLimits(c),
		Connections:    c.Store.Postgres.Connections,
		MaxMailboxes:   c.Store.MaxMailboxes,
		MaxKeywords:    c.Store.MaxKeywords,
		MaxCopy:        c.Store.MaxCopy,
		Timeout:        c.Store.Postgres.Timeout,
		ResolveTimeout: c.Store.Postgres.ResolveTimeout,
		BodyGrace:      c.Store.Postgres.BodyGrace,
		OrphanAge:      c.Store.Postgres.OrphanAge,

		FeedRetention:    c.Store.FeedRetention,
		ExpungeRetention: c.Store.ExpungeRetention,
	}
}

// openShards opens several databases as one store. The first has its large bodies where a single database would
// have them, so that one can become it; each other has a place of its own.
func (n *node) openShards(ctx context.Context, c *config.Config) (*sharded.Store, error) {
	temporary := filepath.Join(c.Server.DataDir, "tmp")
	if err := os.MkdirAll(temporary, 0o700); err != nil {
		return nil, err
	}
	o := sharded.Options{
		TempDir:     temporary,
		Log:         n.log,
		Remember:    c.Store.Sharding.Remember,
		RetryAfter:  c.Store.Sharding.RetryAfter,
		FeedTimeout: c.Store.Sharding.FeedTimeout,
		MovePause:   c.Store.Sharding.MovePause,
	}
	for i, sh := range c.Store.Shards {
		below := ""
		if i > 0 {
			below = "shard-" + sh.Name
		}
		blobs, err := openBlobs(ctx, c, below)
		if err != nil {
			return nil, err
		}
		p := n.postgresOptions(c, sh.DSN, blobs)
		if sh.Connections > 0 {
			p.Connections = sh.Connections
		}
		o.Shards = append(o.Shards, sharded.Shard{Name: sh.Name, Postgres: p, Closed: sh.Closed})
	}
	return sharded.Open(ctx, o)
}

// lockFolder takes a data folder for this process until the file is closed. The
// system releases it when the process ends, however it ends.
func lockFolder(folder string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, &mailbox.Error{Kind: mailbox.InUse, Op: "open store", Text: "another process has the data folder open", Err: err}
		}
		return nil, err
	}
	return f, nil
}

func parserLimits(c *config.Config) message.Limits {
	return message.Limits{Depth: c.Store.MaxDepth, Parts: c.Store.MaxParts}
}
