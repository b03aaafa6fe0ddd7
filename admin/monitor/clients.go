package monitor

import (
	"strings"

	"github.com/starling-mail/starling/auth"
	"github.com/starling-mail/starling/imapserver"
	"github.com/starling-mail/starling/latency"
	"github.com/starling-mail/starling/lmtp"
)

func collectIMAP(e emitter, s imapserver.Stats) {
	const connections = "Connections of IMAP clients now, each in one state."
	e.gauge("imap_connections", connections, float64(s.Arriving), "state", "arriving")
	e.gauge("imap_connections", connections, float64(s.NotAuthenticated), "state", "not_authenticated")
	e.gauge("imap_connections", connections, float64(s.Authenticated), "state", "authenticated")
	e.gauge("imap_connections", connections, float64(s.Selected), "state", "selected")
	e.gauge("imap_connections", connections, float64(s.Idle), "state", "idle")
	e.gauge("imap_connections_working", "Connections of IMAP clients now that are not parked: each has a goroutine and buffers.", float64(s.Working))
	e.counter("imap_accepted_total", "Connections of IMAP clients that were served.", s.Accepted)
	e.counter("imap_refused_total", "Connections of IMAP clients that were sent away: a limit, a bad PROXY header, or the node stops.", s.Refused)
	e.counter("imap_received_bytes_total", "Bytes of IMAP from clients, TLS and COMPRESS not counted.", s.Received)
	e.counter("imap_sent_bytes_total", "Bytes of IMAP to clients, TLS and COMPRESS not counted.", s.Sent)
	for _, c := range s.Commands {
		for _, o := range []struct {
			name string
			took latency.Snapshot
		}{{"ok", c.OK}, {"no", c.NO}, {"bad", c.BAD}, {"cut", c.Cut}} {
			if o.took.Count() > 0 {
				e.histogram("imap_command_seconds",
					"IMAP commands from their name to their answer; IDLE until it begins. Result cut: the connection ended with it.",
					o.took, "command", strings.ToLower(c.Name), "result", o.name)
			}
		}
	}
}

func collectLMTP(e emitter, s lmtp.Stats) {
	e.gauge("lmtp_connections", "LMTP connections now.", float64(s.Connections))
	e.counter("lmtp_refused_connections_total", "LMTP connections that were sent away: not trusted, too many, or the node is drained.", s.Turned)
	e.counter("lmtp_messages_total", "Messages taken in, for however many recipients.", s.Messages)
	e.counter("lmtp_received_bytes_total", "Bytes of the messages taken in.", s.Bytes)
	const recipients = "Recipients of mail by the answer for them: delivered, deferred (4xx), refused (5xx)."
	e.counter("lmtp_recipients_total", recipients, s.Delivered, "result", "delivered")
	e.counter("lmtp_recipients_total", recipients, s.Deferred, "result", "deferred")
	e.counter("lmtp_recipients_total", recipients, s.Refused, "result", "refused")
}

func collectAuth(e emitter, s auth.Stats) {
	const logins = "Attempts to log in: ok, failed (wrong password, no such user), disabled, throttled (refused unseen), error (the store, or nobody waited)."
	e.counter("auth_logins_total", logins, s.OK, "result", "ok")
	e.counter("auth_logins_total", logins, s.Failed, "result", "failed")
	e.counter("auth_logins_total", logins, s.Disabled, "result", "disabled")
	e.counter("auth_logins_total", logins, s.Throttled, "result", "throttled")
	e.counter("auth_logins_total", logins, s.Errors, "result", "error")
	e.counter("auth_cached_total", "Attempts that needed no hash, because the same password was verified lately.", s.Cached)
	e.gauge("auth_delayed", "Attempts that wait now because of failures before them.", float64(s.Delayed))
	e.counter("auth_hashes_total", "Password hashes computed.", s.Hashes)
	e.gauge("auth_hashes_running", "Password hashes being computed now.", float64(s.HashesRunning))
	e.gauge("auth_hashes_waiting", "Password hashes that wait now for a processor (auth.hashes_at_once).", float64(s.HashesWaiting))
}
