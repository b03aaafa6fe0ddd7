package cluster

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	mathrand "math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/eventbus/codec"
)

const (
	batchSize    = 64 << 10 // bytes of events sent at once, if so many are waiting
	handshake    = 5 * time.Second
	shortestWait = 20 * time.Millisecond // before a stream is opened again
	longestWait  = 2 * time.Second
)

// A peer sends to one other node, as one instance of it, for as long as that is a member or its stream holds.
type peer struct {
	node   *Node
	member Member
	log    zerolog.Logger
	codec  codec.Codec
	line   uint64 // tells the numbers of this queue from those of one before it
	queue  *queue
	from   *sender   // what comes from there; nil: not known
	told   *audience // of what this node listens to; nil: not told
	cancel context.CancelFunc
	finish chan struct{} // closed: end as soon as nothing is waiting
	done   chan struct{} // closed when run has returned

	connected atomic.Bool
	connects  atomic.Uint64
	sent      atomic.Uint64
	withheld  atomic.Uint64
	pinged    atomic.Int64  // when the last heartbeat was sent, until it is answered; by Node.now
	pingedAt  atomic.Uint64 // the number that answers it
	roundTrip atomic.Int64  // ns
}

func newPeer(n *Node, m Member) *peer {
	p := &peer{
		node: n, member: m, codec: m.meta.codecFor(n.o.Codec), line: randomNumber(), queue: newQueue(n.o.QueueLimit, queueBytes),
		log:    n.log.With().Str("peer", m.Name).Logger(),
		finish: make(chan struct{}), done: make(chan struct{}),
	}
	if n.interest != nil && m.Interest {
		p.told = &audience{wake: p.queue.wake}
	}
	return p
}

// randomNumber returns a number that nobody has had.
func randomNumber() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])
}

// run keeps a stream open until ctx ends.
func (p *peer) run(ctx context.Context) {
	defer close(p.done)
	if p.told != nil {
		p.node.interest.join(p.told)
		defer p.node.interest.leave(p.told)
	}
	wait, jitter := shortestWait, mathrand.New(mathrand.NewPCG(p.node.instance, p.line))
	for ctx.Err() == nil {
		began := time.Now()
		err := p.stream(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		if p.connected.Swap(false) {
			// One that breaks as soon as it is open is no better than none: two nodes of one name take each other's place.
			if time.Since(began) > longestWait {
				wait = shortestWait
			}
			p.log.Warn().Err(err).Msg("stream to a node broke")
			p.node.members.signal() // if it is no member, that was all
		} else {
			p.log.Debug().Err(err).Msg("no stream to a node")
		}
		// Nodes that lost each other at once should not come back at once.
		timer := time.NewTimer(wait/2 + time.Duration(jitter.Int64N(int64(wait))))
		select {
		case <-timer.C:
		case <-p.finish: // nobody is there to take what waits
			timer.Stop()
			return
		case <-ctx.Done():
			timer.Stop()
			return
		}
		wait = min(2*wait, longestWait)
	}
}

// stream opens a stream and sends until it breaks, or, without an error, until the peer is finished.
func (p *peer) stream(ctx context.Context) error {
	connecting, cancel := context.WithTimeout(ctx, handshake)
	conn, err := p.node.network.Dial(connecting, p.member)
	cancel()
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	r := bufio.NewReaderSize(conn, 512)
	if err := p.greet(conn, r); err != nil {
		p.meet()
		return err
	}
	p.connected.Store(true)
	p.connects.Add(1)
	p.pinged.Store(0)
	p.log.Info().Stringer("codec", p.codec).Msg("stream to a node is open")

	if p.told != nil {
		p.node.interest.begin(p.told)
	}
	listening, broken := context.WithCancelCause(ctx)
	p.node.work.Go(func() { broken(p.listen(conn, r)) })
	if err = p.send(listening, conn); err == nil {
		// The other end closes when it has read everything; closing first might take back what it has not.
		if err = conn.CloseWrite(); err == nil {
			<-listening.Done()
		}
		p.connected.Store(false)
		return err
	}
	conn.Close()
	<-listening.Done()
	return err
}

// greet says who we are and waits for the first answer.
func (p *peer) greet(conn net.Conn, r *bufio.Reader) error {
	if err := conn.SetDeadline(time.Now().Add(handshake)); err != nil {
		return err
	}
	h := hello{to: p.member.Instance, instance: p.node.instance, line: p.line, next: p.queue.number()}
	if _, err := conn.Write(appendFrame(nil, h.append)); err != nil {
		return err
	}
	var answer [answerSize]byte
	_, err := io.ReadFull(r, answer[:])
	return err
}

// meet exchanges what is known of the members with the other node, which has not accepted a hello: most likely it was started again, and may know nobody
// who could tell it of this one, nor this one of what it is now.
func (p *peer) meet() {
	if err := p.node.network.Join(p.member.Gossip); err != nil {
		p.log.Debug().Err(err).Msg("cannot exchange members with a node that refuses streams")
	}
}

// listen takes the answers to heartbeats. Its error says why none come any more.
func (p *peer) listen(conn net.Conn, r *bufio.Reader) error {
	var answer [answerSize]byte
	for {
		if err := conn.SetReadDeadline(time.Now().Add(p.node.times.timeout)); err != nil {
			return err
		}
		if _, err := io.ReadFull(r, answer[:]); err != nil {
			return err
		}
		if number := binary.BigEndian.Uint64(answer[:]); number&interestAnswer != 0 {
			if p.told != nil {
				p.node.interest.answered(p.told, number&^interestAnswer)
			}
			continue
		}
		// An answer with a lower number says only that the other end is busy with what came before.
		if at := p.pinged.Load(); at != 0 && binary.BigEndian.Uint64(answer[:]) >= p.pingedAt.Load() {
			p.roundTrip.Store(p.node.now() - at)
			p.pinged.Store(0)
		}
	}
}

// send sends what is waiting, and heartbeats.
func (p *peer) send(ctx context.Context, conn net.Conn) error {
	heartbeat := time.NewTicker(p.node.times.heartbeat)
	defer heartbeat.Stop()
	var buf []byte
	frame := func(what func([]byte) []byte) error {
		buf = appendFrame(buf[:0], what)
		if err := conn.SetWriteDeadline(time.Now().Add(p.node.times.timeout)); err != nil {
			return err
		}
		_, err := conn.Write(buf)
		return err
	}
	write := func(first uint64, events [][]byte) error {
		p.sent.Add(uint64(len(events)))
		return frame(func(b []byte) []byte { return p.codec.AppendFrame(b, p.node.instance, first, events) })
	}
	ping := func() error {
		number := p.queue.number()
		if p.pinged.Load() == 0 {
			p.pingedAt.Store(number)
			p.pinged.Store(p.node.now())
		}
		return write(number, nil)
	}
	for {
		select {
		case <-heartbeat.C: // however much is waiting: the answer shows that the other end is there
			if err := ping(); err != nil {
				return err
			}
		default:
		}
		for _, a := range p.announcements() {
			if err := frame(a.append); err != nil {
				return err
			}
		}
		if first, events, ok := p.queue.take(batchSize); ok {
			if err := write(first, events); err != nil {
				return err
			}
			continue
		}
		select {
		case <-p.queue.ready:
		case <-heartbeat.C:
			if err := ping(); err != nil {
				return err
			}
		case <-p.finish:
			if waiting, _ := p.queue.figures(); waiting == 0 {
				return nil
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// announcements returns what the other node is still to be told of what this one listens to.
func (p *peer) announcements() []announcement {
	if p.told == nil {
		return nil
	}
	return p.node.interest.next(p.told)
}

// wanted returns what the other node listens to; nil: it is sent everything.
func (p *peer) wanted() *bucketSet {
	if p.from == nil {
		return nil
	}
	if l := p.from.heard.Load(); l != nil && l.instance == p.member.Instance {
		return l.set
	}
	return nil
}
