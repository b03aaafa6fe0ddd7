package lmtp

import (
	"context"
	"io"
	"sync"

	"github.com/emersion/go-smtp"
	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/mailbox"
)

// A session is one client's dialogue as go-smtp tells it.
type session struct {
	srv  *Server
	ctx  context.Context // ends when the grace at shutdown has passed
	conn *conn
	smtp *smtp.Conn
	log  zerolog.Logger

	// In BDAT, go-smtp runs LMTPData on a goroutine of its own, beside which
	// the client may give up the transaction.
	mu        sync.Mutex
	tx        transaction
	receiving bool // LMTPData runs
}

// A transaction is what precedes a message.
type transaction struct {
	open       bool // MAIL was accepted
	from       string
	helo       string
	utf8       bool
	recipients []recipient
}

var _ smtp.LMTPSession = (*session)(nil)

// Reset forgets the transaction. If a message is given up between two chunks
// (BDAT), it ends the connection: go-smtp v0.25.1 does not wait for what it had started,
// which would then report its outcome as that of the next message.
func (s *session) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tx = transaction{}
	if s.receiving {
		s.conn.Conn.Close()
	}
}

// Logout has nothing to free.
func (s *session) Logout() error { return nil }

// Mail begins a transaction. go-smtp has compared SIZE with the limit.
func (s *session) Mail(from string, o *smtp.MailOptions) error {
	if hasControl(from) {
		return reply(553, 5, 1, 7, "address has a control character")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tx.open {
		// go-smtp would keep the recipients of the first (RFC 5321 §4.1.4).
		return reply(503, 5, 5, 1, "MAIL within a transaction")
	}
	s.tx = transaction{open: true, from: from, helo: s.smtp.Hostname(), utf8: o.UTF8}
	return nil
}

// Rcpt adds a recipient, who is known to exist then.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	r, err := s.srv.resolve(s.ctx, to)
	if err != nil {
		s.srv.answered(err)
		s.refused(to, err)
		return s.srv.status(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tx.recipients = append(s.tx.recipients, r)
	return nil
}

// Data is not called in LMTP.
func (s *session) Data(io.Reader) error { return reply(503, 5, 5, 1, "this is LMTP") }

// LMTPData receives the message and delivers it to each recipient.
func (s *session) LMTPData(r io.Reader, status smtp.StatusCollector) error {
	tx := s.receive(true)
	defer s.receive(false)
	m := mail{trace: s.srv.newTrace(tx.from, tx.helo, s.conn.RemoteAddr()), spool: new(spool)}
	m.trace.utf8 = tx.utf8
	defer m.spool.close()
	if err := m.spool.receive(s.conn.message(r), s.srv.o.MaxMessage, s.srv.o.TempDir); err != nil {
		s.log.Warn().Err(err).Str("from", tx.from).Msg("mail not received")
		for range tx.recipients {
			s.srv.answered(err)
		}
		return s.srv.status(err) // for all of them
	}
	s.srv.took(m.spool.size)
	for _, to := range tx.recipients {
		err := s.srv.deliver(s.ctx, m, to)
		s.srv.answered(err)
		if err != nil {
			s.refused(to.address, err)
		}
		status.SetStatus(to.address, s.srv.status(err))
	}
	// For whoever has no status yet: there is nobody, but were there, the
	// message has not been delivered to them.
	return reply(451, 4, 3, 0, "not delivered")
}

// receive notes that LMTPData begins or ends.
func (s *session) receive(on bool) transaction {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.receiving = on
	return s.tx
}

func (s *session) refused(to string, err error) {
	level := zerolog.ErrorLevel
	switch mailbox.KindOf(err) {
	case mailbox.NonExistent, mailbox.NoPerm, mailbox.OverQuota, mailbox.TooBig, mailbox.Cannot, mailbox.Limit:
		level = zerolog.InfoLevel // the sender's or the recipient's affair
	}
	s.log.WithLevel(level).Err(err).Str("to", to).Msg("mail refused")
}
