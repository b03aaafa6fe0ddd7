package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/starling-mail/starling/config"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/postgres"
	"github.com/starling-mail/starling/mailstore/sqlite"
	"github.com/starling-mail/starling/message"
)

// openStore opens the store of the kind that c has chosen.
func (n *node) openStore(ctx context.Context, c *config.Config) (mailstore.Store, error) {
	if c.Store.Kind == config.StorePostgres {
		return n.openPostgres(ctx, c)
	}
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

// A lockedStore is a store of many nodes, with the lock of this node's data folder.
type lockedStore struct {
	*postgres.Store
	lock *os.File
}

// Close implements mailstore.Store.
func (s lockedStore) Close() error { return errors.Join(s.Store.Close(), s.lock.Close()) }

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
	blobs, err := openBlobs(ctx, c)
	if err != nil {
		return nil, err
	}
	s, err := postgres.Open(ctx, postgres.Options{
		URL:            c.Store.Postgres.DSN,
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
	})
	if err != nil {
		return nil, err
	}
	return lockedStore{s, lock}, nil
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
