package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/rs/zerolog"
)

// wires are the Network of nodes that serve: gossip by memberlist, streams by TLS over TCP.
type wires struct {
	o       *Options
	log     zerolog.Logger
	id      *identity
	refused *atomic.Uint64 // streams, in either direction
	links   links

	// Until Close.
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	listener net.Listener // nil until Listen
	list     *memberlist.Memberlist
	keyring  *memberlist.Keyring
	keys     sync.Mutex // held while keys are exchanged
}

func newWires(o *Options, log zerolog.Logger, refused *atomic.Uint64) (*wires, error) {
	id, err := newIdentity(o.Name, o.Cluster, o.Keys)
	if err != nil {
		return nil, err
	}
	w := &wires{o: o, log: log, id: id, refused: refused}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w, nil
}

// Listen implements Network.
func (w *wires) Listen(ctx context.Context) (address string, err error) {
	if w.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", w.o.Stream); err != nil {
		return "", err
	}
	if w.o.AdvertiseStream != "" {
		return w.o.AdvertiseStream, nil
	}
	return w.listener.Addr().String(), nil
}

// Gossip implements Network.
func (w *wires) Gossip(_ context.Context, d Delegate) error {
	var err error
	if w.keyring, err = memberlist.NewKeyring(nil, w.o.Keys[0][:]); err != nil {
		return err
	}
	for _, k := range w.o.Keys[1:] {
		if err := w.keyring.AddKey(k[:]); err != nil {
			return err
		}
	}
	logger := newGossipLogger(w.ctx, w.log)
	t, err := newGossipTransport(w.ctx, w.o, logger)
	if err != nil {
		return err
	}
	config := gossipConfig(w.o, w.keyring, t, logger)
	about := gossipDelegate{d}
	config.Delegate, config.Events, config.Conflict = about, about, about
	if w.list, err = memberlist.Create(config); err != nil {
		return errors.Join(err, t.Shutdown())
	}
	if w.listener != nil {
		w.work.Go(func() { w.accept(d) })
	}
	return nil
}

// Join implements Network.
func (w *wires) Join(at netip.AddrPort) error {
	_, err := w.list.Join([]string{at.String()})
	return err
}

// Update implements Network.
func (w *wires) Update(timeout time.Duration) error { return w.list.UpdateNode(timeout) }

// Leave implements Network.
func (w *wires) Leave(timeout time.Duration) error { return w.list.Leave(timeout) }

// SetKeys implements Network.
func (w *wires) SetKeys(keys []Key) (closed int, err error) {
	w.keys.Lock()
	defer w.keys.Unlock()
	if err := w.id.setKeys(keys); err != nil {
		return 0, err
	}
	for _, k := range keys {
		if err := w.keyring.AddKey(k[:]); err != nil {
			return 0, err
		}
	}
	if err := w.keyring.UseKey(keys[0][:]); err != nil {
		return 0, err
	}
	for _, old := range w.keyring.GetKeys() {
		if !slices.Contains(keys, Key(old)) {
			if err := w.keyring.RemoveKey(old); err != nil {
				return 0, err
			}
		}
	}
	return w.links.closeWithout(w.id), nil
}

// Close implements Network.
func (w *wires) Close() (err error) {
	w.cancel()
	if w.list != nil {
		err = w.list.Shutdown()
	}
	if w.listener != nil {
		if closed := w.listener.Close(); !errors.Is(closed, net.ErrClosed) {
			err = errors.Join(err, closed)
		}
	}
	w.work.Wait()
	return err
}

// A secured is a stream whose other end has shown that it has a key.
type secured struct {
	*tls.Conn
	release func()
}

// Close closes the connection below: TLS would wait until it has said so.
func (s *secured) Close() error {
	s.release()
	return nil
}

// errNode is returned for a stream of which the other end is not the node that it should be.
var errNode = errors.New("another node answers")

// Dial implements Network.
func (w *wires) Dial(ctx context.Context, to Member) (Stream, error) {
	config, shown := w.id.client(to.Name)
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", to.Stream)
	if err != nil {
		return nil, err
	}
	s, err := w.prove(ctx, raw, tls.Client(raw, config), shown, func(name string) error {
		if name != to.Name {
			return errNode
		}
		return nil
	})
	if err != nil {
		raw.Close()
		w.refused.Add(1)
		return nil, err
	}
	return s, nil
}

// prove shakes hands. check says whether the name that the other end has shown is right.
func (w *wires) prove(ctx context.Context, raw net.Conn, c *tls.Conn, shown Key, check func(name string) error) (*secured, error) {
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	name, key, err := w.id.peer(c.ConnectionState())
	if err != nil {
		return nil, err
	}
	if err := check(name); err != nil {
		return nil, err
	}
	release, ok := w.links.add(raw, w.id, shown, key)
	if !ok {
		return nil, errPeer
	}
	return &secured{c, release}, nil
}
