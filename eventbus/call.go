package eventbus

import (
	"runtime/debug"

	"github.com/starling-mail/starling/mailbox"
)

// call gives events to l and keeps what goes wrong in there.
func (b *Bus) call(l *Listener, events []mailbox.Event) {
	defer b.recovered(l)
	if err := l.Handle(events); err != nil {
		b.stats.errors.Add(1)
		b.log.Error().Err(err).Str("listener", l.Name).Stringer("mailbox", events[0].Mailbox).Msg("event listener failed")
		return
	}
	b.stats.delivered.Add(uint64(len(events)))
}

// tellLost tells l that it lost events, some or all.
func (b *Bus) tellLost(l *Listener, all bool) {
	defer b.recovered(l)
	if all && l.Compare != nil {
		l.Compare()
		return
	}
	b.log.Warn().Str("listener", l.Name).Msg("event listener starts again: events were lost")
	if l.Lost != nil {
		l.Lost()
	}
}

// recovered ends a panic of l, which is a foreign callback: it must not reach the publisher or other listeners.
func (b *Bus) recovered(l *Listener) {
	if p := recover(); p != nil {
		b.stats.panics.Add(1)
		b.log.Error().Interface("panic", p).Bytes("stack", debug.Stack()).Str("listener", l.Name).Msg("event listener panicked")
	}
}
