package config

import (
	"net/netip"
	"time"
)

// Default returns what holds where a file says nothing.
func Default() *Config {
	return &Config{
		Server: Server{
			DataDir:         "/var/lib/imapd",
			ControlSocket:   "control.sock",
			LogLevel:        "info",
			LogFormat:       "auto",
			ShutdownTimeout: 5 * time.Second,
		},
		Listen: []Listen{
			{Address: ":143", Protocol: ProtocolIMAP},
			{Address: ":993", Protocol: ProtocolIMAPS},
			{Address: "unix:lmtp.sock", Protocol: ProtocolLMTP, SocketMode: "0600"},
		},
		TLS: TLS{Certificates: []Certificate{{Cert: "tls.crt", Key: "tls.key"}}},
		IMAP: IMAP{
			PlaintextAuth:  PlaintextNever,
			MaxConnections: 100_000,
			MaxPerUser:     100,
			MaxPerAddress:  1000,
			AppendLimit:    64 << 20,
			MaxLine:        64 << 10,
			MaxLiteral:     64 << 10,
			MaxCommand:     256 << 10,
			MaxBadCommands: 5,
			LoginTimeout:   time.Minute,
			CommandTimeout: 2 * time.Minute,
			Autologout:     30 * time.Minute,
			WriteTimeout:   time.Minute,
			KeepAlive:      2 * time.Minute,
			ParkAfter:      20 * time.Millisecond,
			Compress:       true,
			ID:             []IDField{{Name: "name", Value: "Starling"}},
		},
		Auth: Auth{
			DetailSeparators: "+",
			Argon2Memory:     19 << 20,
			Argon2Time:       2,
			Argon2Threads:    1,
			CacheLife:        5 * time.Minute,
			CacheSize:        20_000,
			Throttle:         true,
			ThrottleBase:     500 * time.Millisecond,
			ThrottleMax:      15 * time.Second,
			ThrottleWindow:   15 * time.Minute,
			ThrottleSize:     20_000,
		},
		LMTP: LMTP{
			MaxMessage:      64 << 20,
			MaxRecipients:   1000,
			MaxConnections:  100,
			Timeout:         5 * time.Minute,
			Trusted:         []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
			DetailToMailbox: true,
			OverQuota:       "temporary",
		},
		Store: Store{
			Kind:             StoreSQLite,
			Inline:           64 << 10,
			Compress:         true,
			Readers:          4,
			ReaderCache:      4 << 20,
			WriterCache:      16 << 20,
			FeedRetention:    7 * 24 * time.Hour,
			ExpungeRetention: 90 * 24 * time.Hour,
			MaxMailboxes:     10_000,
			MaxKeywords:      200,
			MaxCopy:          100_000,
			MaxDepth:         100,
			MaxParts:         10_000,
			Postgres: Postgres{
				Connections:    16,
				Timeout:        30 * time.Second,
				ResolveTimeout: 10 * time.Second,
				BodyGrace:      10 * time.Minute,
				OrphanAge:      48 * time.Hour,
			},
			S3: S3{TLS: true, PartSize: 8 << 20, ReadSize: 1 << 20, Connections: 64, Timeout: 30 * time.Second, Retries: 3},
		},
		Quota: Quota{DefaultStorage: None, DefaultMessages: None},
		Mailboxes: Mailboxes{Default: []Mailbox{
			{Name: "Drafts", Use: `\Drafts`},
			{Name: "Sent", Use: `\Sent`},
			{Name: "Archive", Use: `\Archive`},
			{Name: "Junk", Use: `\Junk`},
			{Name: "Trash", Use: `\Trash`},
		}},
		EventBus: EventBus{Delivery: "mixed", QueueLimit: 1024},
		Tracker:  Tracker{Budget: 256 << 20, GapWait: 50 * time.Millisecond},
		Cluster: Cluster{
			ClusterName:    "starling",
			KeysFile:       "cluster.keys",
			Gossip:         "0.0.0.0:7946",
			Stream:         "0.0.0.0:7947",
			Profile:        "lan",
			Codec:          "msgpack",
			RepairInterval: 2 * time.Second,
			QueueLimit:     64 << 10,
		},
	}
}
