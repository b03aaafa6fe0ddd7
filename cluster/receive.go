package cluster

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/starling-mail/starling/eventbus/codec"
)

// maxSenders is how many nodes' numbers are remembered.
const maxSenders = 4096

// A sender is what this node knows about another one that sends to it, under its name.
type sender struct {
	name string

	mu   sync.Mutex
	conn net.Conn // the stream that came last

	// turn is held by whoever reads a stream of this sender: the one that came last, once the one before it has ended.
	turn    sync.Mutex
	numbers numbering

	received, lost, repeated, unknown, trailing, undecodable atomic.Uint64
	instance, next                                           atomic.Uint64
	open                                                     atomic.Int32
	heard                                                    atomic.Pointer[listened] // by the stream that is open; nil: nothing
}

// A listened is what another node has said that it listens to.
type listened struct {
	instance uint64 // of that node
	set      *bucketSet
}

// serve serves a stream from another node.
func (n *Node) serve(name string, conn Stream) {
	s := n.sender(name)
	if s == nil {
		n.stats.refused.Add(1)
		n.log.Warn().Str("peer", name).Msg("stream refused: too many nodes")
		return
	}
	defer context.AfterFunc(n.running, func() { conn.Close() })()
	n.receive(s, conn)
}

// sender returns what is known about a node; nil if there are too many.
func (n *Node) sender(name string) *sender {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.known(name)
}

// known is sender for a caller who holds mu.
func (n *Node) known(name string) *sender {
	s := n.senders[name]
	if s == nil && len(n.senders) < maxSenders {
		s = &sender{name: name}
		n.senders[name] = s
	}
	return s
}

// receive reads a stream to its end, once the one before it has ended.
func (n *Node) receive(s *sender, conn net.Conn) {
	s.mu.Lock()
	if s.conn != nil {
		s.conn.Close()
	}
	s.conn = conn
	s.mu.Unlock()

	s.turn.Lock()
	defer s.turn.Unlock()
	s.open.Add(1)
	defer s.open.Add(-1)
	err := n.read(s, conn)
	if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		n.log.Warn().Err(err).Str("peer", s.name).Msg("stream from a node broke")
	}
}

// read reads a stream. Its error says why it ended.
func (n *Node) read(s *sender, conn net.Conn) error {
	r := bufio.NewReaderSize(conn, 32<<10)
	expect := func() error { return conn.SetReadDeadline(time.Now().Add(n.times.timeout)) }
	answered := time.Now()
	reply := func(number uint64) error {
		if err := conn.SetWriteDeadline(time.Now().Add(n.times.timeout)); err != nil {
			return err
		}
		_, err := conn.Write(binary.BigEndian.AppendUint64(nil, number))
		return err
	}
	answer := func() error {
		answered = time.Now()
		return reply(s.numbers.next)
	}
	if err := expect(); err != nil {
		return err
	}
	h, buf, err := n.hello(r)
	if err != nil {
		n.stats.refused.Add(1)
		return err
	}
	s.instance.Store(h.instance)
	if s.numbers.open(h.instance, h.line, h.next) {
		n.lost(s, "stream")
	}
	if err := answer(); err != nil {
		return err
	}
	var hearing hearing
	defer s.heard.Store(nil) // what it will tell a new stream may be something else
	for {
		if err := expect(); err != nil {
			return err
		}
		if buf, err = readFrame(r, buf, codec.MaxFrame); err != nil {
			if errors.Is(err, errTooLarge) {
				n.stats.tooLarge.Add(1)
			}
			return err
		}
		if n.interest != nil && isAnnouncement(buf) {
			number, ok := n.hear(s, &hearing, buf)
			if ok {
				if err := reply(number | interestAnswer); err != nil {
					return err
				}
			}
			continue
		}
		f, err := codec.Decode(buf)
		if err == nil && f.Origin != h.instance {
			err = errHello
		}
		if err != nil {
			// The frame after it shows by its number what was in this one.
			s.undecodable.Add(1)
			n.letters.keep(s.name, err, buf)
			continue
		}
		n.take(s, &f)
		if f.Next() == f.First || time.Since(answered) >= n.times.heartbeat {
			if err := answer(); err != nil {
				return err
			}
		}
	}
}

// hear takes an announcement of what s listens to and returns its number if that is to be answered. After one that cannot be understood, s is sent
// everything.
func (n *Node) hear(s *sender, h *hearing, frame []byte) (number uint64, ok bool) {
	a, err := parseAnnouncement(frame)
	if err == nil {
		ok, err = h.take(&a)
	}
	if err != nil {
		*h = hearing{}
		s.heard.Store(nil)
		s.undecodable.Add(1)
		n.letters.keep(s.name, err, frame)
		return 0, false
	}
	if known := s.heard.Load(); h.heard != nil && (known == nil || known.set != h.heard) {
		s.heard.Store(&listened{s.instance.Load(), h.heard})
	}
	return a.number, ok
}

// hello reads the first frame of a stream.
func (n *Node) hello(r *bufio.Reader) (hello, []byte, error) {
	buf, err := readFrame(r, nil, maxHello)
	if err != nil {
		return hello{}, nil, err
	}
	h, err := parseHello(buf)
	if err == nil && h.to != n.instance {
		err = errHello // it means one that had this name and address before
	}
	return h, buf, err
}

// take takes one frame.
func (n *Node) take(s *sender, f *codec.Frame) {
	lost, fresh := s.numbers.frame(f.First, f.Next())
	if lost {
		n.lost(s, "gap")
	}
	if !fresh {
		s.repeated.Add(1)
		return
	}
	s.next.Store(s.numbers.next)
	s.unknown.Add(uint64(f.Unknown))
	s.trailing.Add(uint64(f.Trailing))
	s.received.Add(uint64(len(f.Events)))
	if events := n.recent.quick(f.Events); len(events) > 0 {
		n.o.Receiver.Receive(events)
	}
}

// lost sees to it that what s sent and what did not come is learnt another way.
func (n *Node) lost(s *sender, why string) {
	s.lost.Add(1)
	n.log.Debug().Str("peer", s.name).Str("why", why).Msg("events from a node may be missing")
	n.recover()
}
