// Package sharded keeps mail in several PostgreSQL databases, the shards. Each account is in one of them,
// whole; nothing spans two. The first shard also has the directory, which says where each account is: it is asked once
// for an account and then remembered.
//
// What is remembered may be out of date, as accounts are moved. It is never believed against the shard's own
// word: a shard that an account has left does not know the account any more, nor its mailboxes, and so neither reads nor writes can go
// astray. What a shard does not know is asked of the directory anew.
//
// A shard that cannot be reached is missed by its own accounts only, which get kind Unavailable. Without the first one, users
// whose place this process does not remember cannot log in.
package sharded

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/incoming"
	"github.com/starling-mail/starling/mailstore/postgres"
)

// A Shard is one of the databases.
type Shard struct {
	Name     string           // unique, for ever: the directory has it
	Postgres postgres.Options // Shard and Directory are filled in; Blobs must be this shard's alone, the limits those of all
	Closed   bool             // no new accounts come here
}

// Options says which shards there are. What is zero gets its default.
type Options struct {
	Shards []Shard // the first has the directory; at least one
	// TempDir is for messages above Inline on their way in. Empty: the system's.
	TempDir string
	Log     zerolog.Logger

	// Remember is of how many accounts, and of how many mailboxes and of how many names, the place
	// is remembered; default 100,000. Each takes about 100 bytes.
	Remember int
	// RetryAfter is how long a shard that could not be reached is left alone by the feed, and how often one that
	// was not there at the start is tried; default 1 s.
	RetryAfter time.Duration
	// FeedTimeout is how long reading the feed waits for one shard; default 1 s.
	FeedTimeout time.Duration
	// MovePause is how long writes to an account wait, at most, at the end of its move; default 10 s.
	MovePause time.Duration
}

// A Store is this process's access to all shards. It implements mailstore.Store, and what else that package has for stores.
type Store struct {
	o        Options
	shards   []*shard
	routes   routes
	spool    *spool
	receiver *incoming.Receiver
	codec    *incoming.Codec

	interrupt func(step string) error // nil but in tests: what it returns ends a move at that step

	stop  context.CancelFunc
	tasks sync.WaitGroup // open shards that were not there at the start
	once  sync.Once
	err   error // of Close
}

var (
	_ mailstore.Store      = (*Store)(nil)
	_ mailstore.UIDAdopter = (*Store)(nil)

	_ mailstore.AccountMover = (*Store)(nil)
)

// A shard is a database that may not have been reached yet.
type shard struct {
	Shard
	store atomic.Pointer[postgres.Store]
	feed  feedState
}

// get returns the shard's store, or an error of kind Unavailable.
func (sh *shard) get(op string) (*postgres.Store, error) {
	if s := sh.store.Load(); s != nil {
		return s, nil
	}
	return nil, &mailbox.Error{Kind: mailbox.Unavailable, Op: op, Err: errors.New("shard " + sh.Name + " has not been reached yet")}
}

// Open opens the shards. The first must be there; others that cannot be reached are tried again in the background.
func Open(ctx context.Context, o Options) (_ *Store, err error) {
	if len(o.Shards) == 0 {
		return nil, errors.New("there are no shards")
	}
	if o.Remember <= 0 {
		o.Remember = 100_000
	}
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&o.RetryAfter, time.Second}, {&o.FeedTimeout, time.Second}, {&o.MovePause, 10 * time.Second}} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Store{o: o, routes: newRoutes(o.Remember), spool: newSpool(o.TempDir), stop: stop}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	first := o.Shards[0].Postgres
	if s.codec, err = incoming.NewCodec(!first.Uncompress); err != nil {
		return nil, err
	}
	if first.Inline <= 0 {
		first.Inline = postgres.DefaultInline
	}
	s.receiver = incoming.NewReceiver(min(first.Inline, incoming.MaxInline), first.Message, s.spool, s.codec)
	for _, sh := range o.Shards {
		sh.Postgres.Shard = sh.Name
		s.shards = append(s.shards, &shard{Shard: sh})
	}
	if err := s.open(ctx, s.shards[0]); err != nil {
		return nil, err
	}
	errs := make([]error, len(s.shards))
	var opening sync.WaitGroup
	for i, sh := range s.shards[1:] {
		opening.Go(func() { errs[i] = s.open(ctx, sh) })
	}
	opening.Wait()
	for i, sh := range s.shards[1:] {
		if mailbox.KindOf(errs[i]) == mailbox.Unavailable {
			o.Log.Warn().Err(errs[i]).Str("shard", sh.Name).Msg("shard cannot be reached; it is tried again")
			s.tasks.Go(func() { s.openLater(background, sh) })
			errs[i] = nil
		}
	}
	return s, errors.Join(errs...)
}

func (s *Store) open(ctx context.Context, sh *shard) error {
	o := sh.Postgres
	if sh != s.shards[0] {
		o.Directory = s.shards[0].store.Load()
	}
	store, err := postgres.Open(ctx, o)
	if err == nil {
		sh.store.Store(store)
	}
	return err
}

// openLater opens a shard as soon as it can be reached.
func (s *Store) openLater(ctx context.Context, sh *shard) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(s.o.RetryAfter):
		}
		err := s.open(ctx, sh)
		if err == nil {
			s.o.Log.Info().Str("shard", sh.Name).Msg("shard reached")
			return
		}
		if mailbox.KindOf(err) != mailbox.Unavailable && ctx.Err() == nil {
			s.o.Log.Error().Err(err).Str("shard", sh.Name).Msg("shard cannot be opened; it is tried again")
		}
	}
}

// directory returns the directory.
func (s *Store) directory() postgres.Directory { return s.shards[0].store.Load().Directory() }

// named returns the shard of that name. One that this process does not know is unavailable: others may
// have been told of it already.
func (s *Store) named(op, name string) (*shard, error) {
	for _, sh := range s.shards {
		if sh.Name == name {
			return sh, nil
		}
	}
	return nil, &mailbox.Error{Kind: mailbox.Unavailable, Op: op, Err: errors.New("shard " + name + " is not in this node's configuration")}
}

// Ready implements mailstore.Store: it is ready as soon as any shard is, since those who are there can be served.
func (s *Store) Ready(ctx context.Context) error {
	return errors.Join(s.first(ctx, "ready", func(ctx context.Context, store *postgres.Store) error { return store.Ready(ctx) })...)
}

// first asks all shards at a time, and returns nil as soon as one has answered without an error: what hangs is not
// waited for. Otherwise it returns the errors.
func (s *Store) first(ctx context.Context, op string, f func(context.Context, *postgres.Store) error) (errs []error) {
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	answers := make(chan error, len(s.shards))
	for _, sh := range s.shards {
		asking.Go(func() {
			store, err := sh.get(op)
			if err == nil {
				err = f(ctx, store)
			}
			answers <- err
		})
	}
	for range s.shards {
		err := <-answers
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errs
}

// Maintain has all shards do at once what they otherwise do from time to time.
func (s *Store) Maintain(ctx context.Context) error {
	return s.each("maintain", func(store *postgres.Store) error { return store.Maintain(ctx) })
}

// each calls f with every shard in turn and joins the errors.
func (s *Store) each(op string, f func(*postgres.Store) error) error {
	var errs []error
	for _, sh := range s.shards {
		store, err := sh.get(op)
		if err == nil {
			err = f(store)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Close implements mailstore.Store. It may be called twice.
func (s *Store) Close() error {
	s.once.Do(func() {
		s.stop()
		s.tasks.Wait()
		for _, sh := range s.shards {
			if store := sh.store.Load(); store != nil {
				s.err = errors.Join(s.err, store.Close())
			}
		}
		if s.codec != nil {
			s.codec.Close()
		}
	})
	return s.err
}
