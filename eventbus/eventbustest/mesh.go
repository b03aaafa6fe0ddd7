package eventbustest

import (
	"sync"
	"testing"

	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/eventbus/codec"
	"github.com/starling-mail/starling/mailbox"
)

// Mesh connects each of the buses with each other by a pipe inside the process, which carries frames in a codec. The connection ends with t.
func Mesh(t *testing.T, c codec.Codec, buses ...*eventbus.Bus) {
	var pipes sync.WaitGroup
	t.Cleanup(pipes.Wait)
	for i, from := range buses {
		for j, to := range buses {
			if i == j {
				continue
			}
			p := &pipe{t: t, codec: c, origin: uint64(i), to: to, frames: make(chan []byte, 1<<14), end: make(chan struct{})}
			pipes.Go(p.carry)
			disconnect := from.Connect(p)
			t.Cleanup(func() {
				disconnect()
				close(p.end)
			})
		}
	}
}

// A pipe is one direction between two buses.
type pipe struct {
	t      *testing.T
	codec  codec.Codec
	origin uint64
	to     *eventbus.Bus
	frames chan []byte
	end    chan struct{}
}

// Send implements eventbus.Transport.
func (p *pipe) Send(events []mailbox.Event) {
	var written [][]byte
	for i := range events {
		b, err := p.codec.AppendEvent(nil, &events[i])
		if err != nil {
			p.t.Error(err)
			return
		}
		written = append(written, b)
	}
	select {
	case p.frames <- p.codec.AppendFrame(nil, p.origin, 0, written):
	default:
		p.to.Lost()
	}
}

func (p *pipe) carry() {
	for {
		select {
		case b := <-p.frames:
			f, err := codec.Decode(b)
			if err != nil {
				p.t.Error(err)
			}
			p.to.Receive(f.Events)
		case <-p.end:
			return
		}
	}
}
