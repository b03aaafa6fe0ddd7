package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/emersion/go-imap/v2"
	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/admin"
	"github.com/starling-mail/starling/auth"
	"github.com/starling-mail/starling/cluster"
	"github.com/starling-mail/starling/config"
	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/imapserver"
	"github.com/starling-mail/starling/imapserver/stream"
	"github.com/starling-mail/starling/imapserver/wire"
	"github.com/starling-mail/starling/lmtp"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/tracker"
)

// A node is an open store with what works on it. It serves nobody yet.
type node struct {
	log    zerolog.Logger
	config atomic.Pointer[config.Config] // what is in force
	bus    *eventbus.Bus
	store  mailstore.Store
	member *cluster.Node // nil unless this node serves in a cluster
	names  *auth.Normalizer
	auth   *auth.Authenticator // nil until newIMAP
	hasher *auth.Hasher
	lmtp   *lmtp.Server
	admin  *admin.Service
}

// open opens the store that c describes. An error of kind mailbox.InUse says
// that another process has it open.
func open(ctx context.Context, c *config.Config, log zerolog.Logger) (*node, error) {
	return openOn(c, log, func(n *node) (mailstore.Store, error) { return n.openStore(ctx, c) })
}

// openOn makes a node on the store that openStore opens for it.
func openOn(c *config.Config, log zerolog.Logger, openStore func(*node) (mailstore.Store, error)) (_ *node, err error) {
	n := &node{log: log}
	n.config.Store(c)
	if n.names, err = normalizer(c); err != nil {
		return nil, err
	}
	if n.hasher, err = hasher(c); err != nil {
		return nil, err
	}
	n.bus = eventbus.New(eventbus.Options{Delivery: delivery(c), QueueLimit: c.EventBus.QueueLimit, Log: log})
	if n.store, err = openStore(n); err != nil {
		return nil, err
	}
	if n.lmtp, err = n.newLMTP(c); err != nil {
		return nil, errors.Join(err, n.store.Close())
	}
	n.admin = &admin.Service{
		Store:    n.store,
		Names:    n.names,
		Accounts: auth.NewService(userStore{n.store, c}, n.names, n.hasher),
		Delivery: n.lmtp,
	}
	return n, nil
}

// close leaves the cluster, and closes the store once the bus has handled what
// was published.
func (n *node) close(ctx context.Context) error {
	var left error
	if n.member != nil {
		left = n.member.Close(ctx)
	}
	return errors.Join(left, n.store.Close(), n.bus.Close(ctx))
}

func (n *node) newLMTP(c *config.Config) (*lmtp.Server, error) {
	hostname, err := hostname(c)
	if err != nil {
		return nil, err
	}
	temporary := filepath.Join(c.Server.DataDir, "tmp")
	if err := os.MkdirAll(temporary, 0o700); err != nil {
		return nil, err
	}
	return lmtp.New(lmtp.Options{
		Store:              n.store,
		Names:              n.names,
		Hostname:           hostname,
		MaxMessage:         int64(c.LMTP.MaxMessage),
		MaxRecipients:      c.LMTP.MaxRecipients,
		MaxConnections:     c.LMTP.MaxConnections,
		Timeout:            c.LMTP.Timeout,
		Grace:              c.Server.ShutdownTimeout,
		Trusted:            c.LMTP.Trusted,
		IgnoreDetail:       !c.LMTP.DetailToMailbox,
		OverQuotaPermanent: c.LMTP.OverQuota == "permanent",
		TempDir:            temporary,
		Log:                n.log,
	}), nil
}

// newIMAP makes the IMAP server; the caller closes the trackers after it.
func (n *node) newIMAP(c *config.Config, certs *stream.Certificates) (*imapserver.Server, *tracker.Set, error) {
	trackers := tracker.New(tracker.Options{Store: n.store, Bus: n.bus, GapWait: c.Tracker.GapWait, Budget: int64(c.Tracker.Budget),
		CompareRate: c.Tracker.CompareRate, Log: n.log})
	n.auth = n.newAuthenticator(c)
	o := imapserver.Options{Store: n.store, Trackers: trackers, Auth: n.auth, Settings: settings(c), Log: n.log}
	if certs != nil {
		o.TLS = certs.Config()
	}
	for _, f := range c.IMAP.ID {
		o.ID = append(o.ID, wire.IDField{Name: f.Name, Value: f.Value})
	}
	srv, err := imapserver.New(o)
	if err != nil {
		trackers.Close()
	}
	return srv, trackers, err
}

func (n *node) newAuthenticator(c *config.Config) *auth.Authenticator {
	life := c.Auth.CacheLife
	if life == 0 {
		life = -1
	}
	a := auth.New(auth.Options{
		Users:  n.store,
		Names:  n.names,
		Hasher: n.hasher,
		Cache:  auth.CacheOptions{Life: life, Size: c.Auth.CacheSize},
		Throttle: auth.ThrottleOptions{
			Disabled: !c.Auth.Throttle,
			Base:     c.Auth.ThrottleBase,
			Max:      c.Auth.ThrottleMax,
			Window:   c.Auth.ThrottleWindow,
			Exempt:   c.Auth.ThrottleExempt,
			Size:     c.Auth.ThrottleSize,
		},
		Log: n.log,
	})
	n.bus.Listen(&eventbus.Listener{
		Name:     "auth",
		Scope:    eventbus.AllAccounts,
		Delivery: eventbus.Sync, // an old password is void when the change is acknowledged
		Handle: func(events []mailbox.Event) error {
			a.OnEvents(events)
			return nil
		},
		Lost: a.ForgetAll,
	})
	return a
}

// defaultQuota follows the configuration in force.
func (n *node) defaultQuota() mailbox.QuotaLimits {
	q := n.config.Load().Quota
	return mailbox.QuotaLimits{Storage: int64(q.DefaultStorage), Messages: int64(q.DefaultMessages)}
}

// A userStore gives new accounts the mailboxes that the configuration says.
type userStore struct {
	mailstore.Users
	config *config.Config
}

// AddUser implements auth.UserStore.
func (s userStore) AddUser(ctx context.Context, u mailbox.User) (mailbox.User, error) {
	var list []mailstore.NewMailbox
	for _, m := range s.config.Mailboxes.Default {
		box := mailstore.NewMailbox{Name: mailbox.CanonicalName(m.Name)}
		if m.Use != "" {
			box.SpecialUse = []imap.MailboxAttr{imap.MailboxAttr(m.Use)}
		}
		list = append(list, box)
	}
	return s.Users.AddUser(ctx, u, list)
}

func normalizer(c *config.Config) (*auth.Normalizer, error) {
	return auth.NewNormalizer(auth.NameOptions{DefaultDomain: c.Auth.DefaultDomain, Separators: c.Auth.DetailSeparators})
}

func hasher(c *config.Config) (*auth.Hasher, error) {
	return auth.NewHasher(auth.HashOptions{
		Memory:     uint32(c.Auth.Argon2Memory >> 10),
		Time:       uint32(c.Auth.Argon2Time),
		Threads:    uint8(c.Auth.Argon2Threads),
		Concurrent: c.Auth.HashesAtOnce,
	})
}

// certificates loads those of the configuration; nil if there is none.
func certificates(c *config.Config) (*stream.Certificates, error) {
	if len(c.TLS.Certificates) == 0 {
		return nil, nil
	}
	var pairs []stream.KeyPair
	for _, p := range c.TLS.Certificates {
		pairs = append(pairs, stream.KeyPair{Cert: p.Cert, Key: p.Key})
	}
	return stream.LoadCertificates(pairs...)
}

func hostname(c *config.Config) (string, error) {
	if c.Server.Hostname != "" {
		return c.Server.Hostname, nil
	}
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("server.hostname is empty and the system has none: %w", err)
	}
	return name, nil
}

func delivery(c *config.Config) eventbus.Delivery {
	switch c.EventBus.Delivery {
	case "sync":
		return eventbus.Sync
	case "async":
		return eventbus.Async
	}
	return eventbus.Mixed
}

func settings(c *config.Config) imapserver.Settings {
	s := imapserver.DefaultSettings()
	s.MaxConnections, s.MaxPerUser, s.MaxPerAddress = c.IMAP.MaxConnections, c.IMAP.MaxPerUser, c.IMAP.MaxPerAddress
	s.AppendLimit = int64(c.IMAP.AppendLimit)
	s.MaxBadCommands = c.IMAP.MaxBadCommands
	s.MaxKeywords = c.Store.MaxKeywords
	s.Command.Line, s.Command.Literal, s.Command.Command = int(c.IMAP.MaxLine), int(c.IMAP.MaxLiteral), int(c.IMAP.MaxCommand)
	s.LoginTimeout = c.IMAP.LoginTimeout
	s.CommandTimeout = c.IMAP.CommandTimeout
	s.Autologout = c.IMAP.Autologout
	s.WriteTimeout = c.IMAP.WriteTimeout
	s.KeepAlive = c.IMAP.KeepAlive
	s.ParkAfter = c.IMAP.ParkAfter
	s.Compress = c.IMAP.Compress
	return s
}

func plaintextAuth(c *config.Config) imapserver.PlaintextAuth {
	switch c.IMAP.PlaintextAuth {
	case config.PlaintextLoopback:
		return imapserver.PlaintextLoopback
	case config.PlaintextAlways:
		return imapserver.PlaintextAlways
	}
	return imapserver.PlaintextNever
}
