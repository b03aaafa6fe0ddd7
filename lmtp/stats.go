package lmtp

import (
	"errors"
	"sync/atomic"

	"github.com/emersion/go-smtp"
)

// Stats are figures of a Server since it was made.
type Stats struct {
	Connections int    // now
	Turned      uint64 // connections sent away: not trusted, or too many

	Messages uint64 // taken in, for however many recipients
	Bytes    uint64 // of these
	// Delivered are recipients who have a message, Deferred those who were refused for a time (4xx) and Refused those for good (5xx). Mail
	// by Deliver counts too.
	Delivered, Deferred, Refused uint64
}

type counters struct {
	turned, messages, bytes, delivered, deferred, refused atomic.Uint64
}

// answered counts the answer for one recipient.
func (s *Server) answered(err error) {
	reply, _ := errors.AsType[*smtp.SMTPError](s.status(err))
	switch {
	case reply == nil:
		s.counters.delivered.Add(1)
	case reply.Temporary():
		s.counters.deferred.Add(1)
	default:
		s.counters.refused.Add(1)
	}
}

// took counts a message.
func (s *Server) took(size int64) {
	s.counters.messages.Add(1)
	s.counters.bytes.Add(uint64(size))
}

// Stats returns the figures as they are now.
func (s *Server) Stats() Stats {
	n := &s.counters
	return Stats{
		Connections: len(s.slots), Turned: n.turned.Load(), Messages: n.messages.Load(), Bytes: n.bytes.Load(),
		Delivered: n.delivered.Load(), Deferred: n.deferred.Load(), Refused: n.refused.Load(),
	}
}
