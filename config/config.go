package config

import (
	"net"
	"net/netip"
	"time"
)

// A Config is everything that can be configured. Each field's tags are its key
// and what it allows: min and max (bounds), oneof (a choice), none (the word that
// limits nothing). Fields with the tag reload can change while the server runs;
// those with the tag secret are nobody else's business (see Exposed).
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
	Cluster   Cluster   `toml:"cluster"`
	Admin     Admin     `toml:"admin"`
}

// Server is what concerns the process.
type Server struct {
	Hostname        string        `toml:"hostname"` // empty: the machine's
	DataDir         string        `toml:"data_dir"`
	ControlSocket   string        `toml:"control_socket"`
	LogLevel        string        `toml:"log_level" oneof:"debug info warn error" reload:"yes"`
	LogFormat       string        `toml:"log_format" oneof:"auto console json"`
	ShutdownTimeout time.Duration `toml:"shutdown_timeout" min:"100ms" max:"10m"`

	DrainDelay time.Duration `toml:"drain_delay" min:"0s" max:"1h" reload:"yes"`
	DrainGroup int           `toml:"drain_group" min:"1" max:"1000000" reload:"yes"`
	DrainEvery time.Duration `toml:"drain_every" min:"1ms" max:"10m" reload:"yes"`
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
	// SocketMode is the mode of a Unix socket, in octal digits; empty: 0600.
	SocketMode string `toml:"socket_mode"`
}

// TLS is what TLS is spoken with.
type TLS struct {
	// Certificates are chosen by SNI; the first is the default.
	Certificates []Certificate `toml:"certificates"`
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
	MaxConnections int           `toml:"max_connections" min:"1" max:"10000000" reload:"yes"`
	MaxPerUser     int           `toml:"max_per_user" min:"1" max:"10000000" reload:"yes"`
	MaxPerAddress  int           `toml:"max_per_address" min:"1" max:"10000000" reload:"yes"`
	AppendLimit    Size          `toml:"append_limit" min:"64KiB" max:"4GiB" reload:"yes"`
	MaxLine        Size          `toml:"max_line" min:"1KiB" max:"64MiB" reload:"yes"`
	MaxLiteral     Size          `toml:"max_literal" min:"1KiB" max:"64MiB" reload:"yes"`
	MaxCommand     Size          `toml:"max_command" min:"1KiB" max:"256MiB" reload:"yes"`
	MaxBadCommands int           `toml:"max_bad_commands" min:"1" max:"1000" reload:"yes"`
	LoginTimeout   time.Duration `toml:"login_timeout" min:"1s" max:"1h" reload:"yes"`
	CommandTimeout time.Duration `toml:"command_timeout" min:"1s" max:"1h" reload:"yes"`
	// Autologout is at least 30 minutes by RFC 9051 §5.4; tests go below.
	Autologout   time.Duration `toml:"autologout" min:"1s" max:"1d" reload:"yes"`
	WriteTimeout time.Duration `toml:"write_timeout" min:"1s" max:"1h" reload:"yes"`
	KeepAlive    time.Duration `toml:"keepalive" min:"0s" max:"1d" reload:"yes"`
	ParkAfter    time.Duration `toml:"park_after" min:"1ms" max:"1m" reload:"yes"`
	Compress     bool          `toml:"compress" reload:"yes"`
	ID           []IDField     `toml:"id"`
}

// An IDField is one field of the answer to ID (RFC 2971).
type IDField struct {
	Name  string `toml:"name"`
	Value string `toml:"value"`
}

// Auth is about who may log in, and by what name.
type Auth struct {
	DefaultDomain    string `toml:"default_domain"` // of names that have none; empty: they stay
	DetailSeparators string `toml:"detail_separators"`

	// The cost of a password's hash (Argon2id, RFC 9106).
	Argon2Memory  Size `toml:"argon2_memory" min:"8KiB" max:"1GiB"`
	Argon2Time    int  `toml:"argon2_time" min:"1" max:"64"`
	Argon2Threads int  `toml:"argon2_threads" min:"1" max:"64"`
	HashesAtOnce  int  `toml:"hashes_at_once" min:"0" max:"1024"` // 0: one for each processor

	CacheLife time.Duration `toml:"cache_life" min:"0s" max:"1d"` // 0: nothing is remembered
	CacheSize int           `toml:"cache_size" min:"1" max:"10000000"`

	Throttle       bool           `toml:"throttle"`
	ThrottleBase   time.Duration  `toml:"throttle_base" min:"1ms" max:"1m"`
	ThrottleMax    time.Duration  `toml:"throttle_max" min:"1ms" max:"10m"`
	ThrottleWindow time.Duration  `toml:"throttle_window" min:"1s" max:"7d"`
	ThrottleExempt []netip.Prefix `toml:"throttle_exempt"`
	ThrottleSize   int            `toml:"throttle_size" min:"1" max:"10000000"`
}

// LMTP is about mail that comes in.
type LMTP struct {
	MaxMessage      Size           `toml:"max_message" min:"64KiB" max:"4GiB"`
	MaxRecipients   int            `toml:"max_recipients" min:"1" max:"100000"`
	MaxConnections  int            `toml:"max_connections" min:"1" max:"100000"`
	Timeout         time.Duration  `toml:"timeout" min:"1s" max:"1h"`
	Trusted         []netip.Prefix `toml:"trusted"`
	DetailToMailbox bool           `toml:"detail_to_mailbox"`
	OverQuota       string         `toml:"over_quota" oneof:"temporary permanent"`
}

// Store is where and how the mail is kept.
type Store struct {
	Kind             string        `toml:"kind" oneof:"sqlite postgres"`
	Inline           Size          `toml:"inline" min:"1KiB" max:"1MiB"`
	Compress         bool          `toml:"compress"`
	Readers          int           `toml:"readers" min:"1" max:"1000"`
	ReaderCache      Size          `toml:"reader_cache" min:"64KiB" max:"64GiB"`
	WriterCache      Size          `toml:"writer_cache" min:"64KiB" max:"64GiB"`
	FeedRetention    time.Duration `toml:"feed_retention" min:"1h" max:"3650d"`
	ExpungeRetention time.Duration `toml:"expunge_retention" min:"1h" max:"3650d"`
	MaxMailboxes     int           `toml:"max_mailboxes" min:"1" max:"10000000"`
	MaxKeywords      int           `toml:"max_keywords" min:"1" max:"10000"`
	MaxCopy          int           `toml:"max_copy" min:"1" max:"10000000"`
	MaxDepth         int           `toml:"max_depth" min:"10" max:"1000"`
	MaxParts         int           `toml:"max_parts" min:"100" max:"1000000"`
	Postgres         Postgres      `toml:"postgres"`
	Shards           []Shard       `toml:"shards"`
	Sharding         Sharding      `toml:"sharding"`
	S3               S3            `toml:"s3"`
}

// Kinds of stores.
const (
	StoreSQLite   = "sqlite"
	StorePostgres = "postgres"
)

// Postgres is about the store of kind StorePostgres.
type Postgres struct {
	DSN            string        `toml:"dsn" secret:"yes"`
	Connections    int           `toml:"connections" min:"1" max:"10000"`
	Timeout        time.Duration `toml:"timeout" min:"100ms" max:"10m"`
	ResolveTimeout time.Duration `toml:"resolve_timeout" min:"100ms" max:"10m"`
	// Blobs is the folder of large bodies; empty: S3, if that has an endpoint, or
	// else blobs in data_dir, which is right for one node only.
	Blobs string `toml:"blobs"`
	// BodyGrace is how long a large body outlives its last message, OrphanAge
	// how long one that never got a message stays.
	BodyGrace time.Duration `toml:"body_grace" min:"1s" max:"30d"`
	OrphanAge time.Duration `toml:"orphan_age" min:"1h" max:"365d"`
}

// A Shard is one of several databases of a store of kind StorePostgres, instead of
// Postgres.DSN. The rest of Postgres holds for all of them.
type Shard struct {
	Name        string `toml:"name"`
	DSN         string `toml:"dsn" secret:"yes"`
	Connections int    `toml:"connections" min:"1" max:"10000"` // 0: Postgres.Connections
	Closed      bool   `toml:"closed"`                          // takes no new accounts
}

// Sharding is how Shards are worked with.
type Sharding struct {
	Remember    int           `toml:"remember" min:"100" max:"100000000"`
	RetryAfter  time.Duration `toml:"retry_after" min:"100ms" max:"1m"`
	FeedTimeout time.Duration `toml:"feed_timeout" min:"100ms" max:"1m"`
	MovePause   time.Duration `toml:"move_pause" min:"100ms" max:"10m"`
}

// S3 is the object store for large bodies of a store of kind StorePostgres.
type S3 struct {
	Endpoint  string `toml:"endpoint"` // host or host:port; empty: there is none
	Bucket    string `toml:"bucket"`
	Prefix    string `toml:"prefix"` // of all names
	Region    string `toml:"region"` // empty: the server is asked
	AccessKey string `toml:"access_key" secret:"yes"`
	SecretKey string `toml:"secret_key" secret:"yes"`
	PathStyle bool   `toml:"path_style"`
	TLS       bool   `toml:"tls"`
	CAFile    string `toml:"ca_file"` // PEM; empty: the system's

	PartSize    Size          `toml:"part_size" min:"5MiB" max:"1GiB"`
	ReadSize    Size          `toml:"read_size" min:"4KiB" max:"64MiB"`
	Connections int           `toml:"connections" min:"1" max:"10000"`
	Timeout     time.Duration `toml:"timeout" min:"100ms" max:"10m"`
	Retries     int           `toml:"retries" min:"1" max:"20"`
}

// Quota are the limits of accounts that have none of their own.
type Quota struct {
	DefaultStorage  Size  `toml:"default_storage" none:"yes" reload:"yes"`
	DefaultMessages Count `toml:"default_messages" none:"yes" reload:"yes"`
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

	CompareRate int `toml:"compare_rate" min:"1" max:"100000"` // mailboxes a second
}

// The ways that events go to other nodes.
const (
	LaneStreams   = "streams"
	LaneBroadcast = "broadcast"
)

// ModeInterest sends other nodes only what they listen to.
const ModeInterest = "interest"

// Cluster is about the other nodes that serve the same mail.
type Cluster struct {
	Enabled     bool   `toml:"enabled"`
	Name        string `toml:"name"` // empty: the machine's host name
	ClusterName string `toml:"cluster_name"`
	KeysFile    string `toml:"keys_file"`

	// Addresses are numeric, host:port. The advertised ones may be empty.
	Gossip          string `toml:"gossip"`
	Stream          string `toml:"stream"`
	AdvertiseGossip string `toml:"advertise_gossip"`
	AdvertiseStream string `toml:"advertise_stream"`

	Join           []string      `toml:"join"`
	JoinFile       string        `toml:"join_file"`
	Profile        string        `toml:"profile" oneof:"lan wan local"`
	Codec          string        `toml:"codec" oneof:"msgpack json"`
	Lanes          []string      `toml:"lanes"` // LaneStreams, LaneBroadcast or both
	Mode           string        `toml:"mode" oneof:"broadcast interest"`
	InterestLinger time.Duration `toml:"interest_linger" min:"10ms" max:"1h"`
	AnnounceWait   time.Duration `toml:"announce_wait" min:"1ms" max:"10s"`
	RepairInterval time.Duration `toml:"repair_interval" min:"100ms" max:"1h"`
	QueueLimit     int           `toml:"queue_limit" min:"1" max:"10000000"`
}

// Admin is about the HTTP listener for health checks and metrics.
type Admin struct {
	Listen         string         `toml:"listen"` // host:port; empty: there is none
	Trusted        []netip.Prefix `toml:"trusted"`
	Pprof          bool           `toml:"pprof"`
	MaxConnections int            `toml:"max_connections" min:"1" max:"10000"`
	Timeout        time.Duration  `toml:"timeout" min:"100ms" max:"10m"`
	ProbeTimeout   time.Duration  `toml:"probe_timeout" min:"10ms" max:"1m"`
	ProbeLife      time.Duration  `toml:"probe_life" min:"0s" max:"1m"`
}

// Private reports whether nobody but this machine can reach the listener.
func (a Admin) Private() bool {
	host, _, err := net.SplitHostPort(a.Listen)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() || host == "localhost"
}
