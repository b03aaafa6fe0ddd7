package config

import (
	"net/netip"
	"time"
)

// A Config is everything that can be configured. Each field's tags are its key
// and what it allows: min and max (bounds), oneof (a choice).
type Config struct {
	Server    Server    `toml:"server"`
	Listen    []Listen  `toml:"listen"`
	TLS       TLS       `toml:"tls"`
	IMAP      IMAP      `toml:"imap"`
	Auth      Auth      `toml:"auth"`
	LMTP      LMTP      `toml:"lmtp"`
	Store     Store     `toml:"store"`
	Quota     Quota     `toml:"quota"`
	Mailboxes Mailboxes `toml:"mailboxes"`
	EventBus  EventBus  `toml:"eventbus"`
	Tracker   Tracker   `toml:"tracker"`
}

// Server is what concerns the process.
type Server struct {
	Hostname        string        `toml:"hostname"` // empty: the machine's
	DataDir         string        `toml:"data_dir"`
	ControlSocket   string        `toml:"control_socket"`
	LogLevel        string        `toml:"log_level" oneof:"debug info warn error"`
	LogFormat       string        `toml:"log_format" oneof:"auto console json"`
	ShutdownTimeout time.Duration `toml:"shutdown_timeout" min:"100ms" max:"10m"`
}

// Protocols of listeners.
const (
	ProtocolIMAP  = "imap"  // STARTTLS
	ProtocolIMAPS = "imaps" // TLS from the first byte
	ProtocolLMTP  = "lmtp"
)

// A Listen is one address to accept connections on.
type Listen struct {
	// Address is host:port, or unix: and the path of a socket.
	Address  string `toml:"address"`
	Protocol string `toml:"protocol" oneof:"imap imaps lmtp"`
	// ProxyFrom lists who must begin with a PROXY protocol header.
	ProxyFrom []netip.Prefix `toml:"proxy_from"`
}

// TLS is what TLS is spoken with.
type TLS struct {
	// Certificates are chosen by SNI; the first is the default.
	Certificates []Certificate `toml:"certificates"`
	MinVersion   string        `toml:"min_version" oneof:"1.2 1.3"`
}

// A Certificate names two PEM files.
type Certificate struct {
	Cert string `toml:"cert"` // the chain, the server's own first
	Key  string `toml:"key"`
}

// Who may log in without TLS.
const (
	PlaintextNever    = "never"
	PlaintextLoopback = "loopback"
	PlaintextAlways   = "always"
)

// IMAP are limits and times of IMAP connections.
type IMAP struct {
	PlaintextAuth  string        `toml:"plaintext_auth" oneof:"never loopback always"`
	MaxConnections int           `toml:"max_connections" min:"1" max:"10000000"`
	MaxPerUser     int           `toml:"max_per_user" min:"1" max:"10000000"`
	MaxPerAddress  int           `toml:"max_per_address" min:"1" max:"10000000"`
	AppendLimit    Size          `toml:"append_limit" min:"64KiB" max:"4GiB"`
	MaxLine        Size          `toml:"max_line" min:"1KiB" max:"64MiB"`
	MaxLiteral     Size          `toml:"max_literal" min:"1KiB" max:"64MiB"`
	MaxCommand     Size          `toml:"max_command" min:"1KiB" max:"256MiB"`
	MaxBadCommands int           `toml:"max_bad_commands" min:"1" max:"1000"`
	LoginTimeout   time.Duration `toml:"login_timeout" min:"1s" max:"1h"`
	CommandTimeout time.Duration `toml:"command_timeout" min:"1s" max:"1h"`
	// Autologout is at least 30 minutes by RFC 9051 §5.4; tests go below.
	Autologout   time.Duration `toml:"autologout" min:"1s" max:"1d"`
	WriteTimeout time.Duration `toml:"write_timeout" min:"1s" max:"1h"`
	KeepAlive    time.Duration `toml:"keepalive" min:"0s" max:"1d"`
	ParkAfter    time.Duration `toml:"park_after" min:"1ms" max:"1m"`
	Compress     bool          `toml:"compress"`
	ID           []IDField     `toml:"id"`
}

// An IDField is one field of the answer to ID (RFC 2971).
type IDField struct {
	Name  string `toml:"name"`
	Value string `toml:"value"`
}

// Auth is about who may log in.
type Auth struct {
	DefaultDomain string `toml:"default_domain"` // appended to names without a domain; empty: none
}

// LMTP is about delivery.
type LMTP struct {
	MaxSize Size `toml:"max_size" min:"64KiB" max:"4GiB"`
}

// Store is where the mail is kept.
type Store struct {
	Kind string `toml:"kind" oneof:"sqlite"`
}

// Quota are the limits of accounts that have none of their own.
type Quota struct {
	DefaultStorage  Size `toml:"default_storage"`  // bytes
	DefaultMessages int  `toml:"default_messages"` // -1: unlimited
}

// Mailboxes are what a new account starts with besides INBOX.
type Mailboxes struct {
	Default []Mailbox `toml:"default"`
}

// A Mailbox of a new account.
type Mailbox struct {
	Name string `toml:"name"`
	// Use is its special use (RFC 6154), such as "\Sent", or empty.
	Use string `toml:"use"`
}

// EventBus is how events reach those who watch.
type EventBus struct {
	Delivery   string `toml:"delivery" oneof:"mixed sync async"`
	QueueLimit int    `toml:"queue_limit" min:"1" max:"1000000"`
}

// Tracker is about the numbering of open mailboxes.
type Tracker struct {
	Budget  Size          `toml:"budget" min:"1MiB" max:"1TiB"`
	GapWait time.Duration `toml:"gap_wait" min:"1ms" max:"10s"`
}
