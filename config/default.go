package config

import "time"

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
			{Address: "unix:lmtp.sock", Protocol: ProtocolLMTP},
		},
		TLS: TLS{
			Certificates: []Certificate{{Cert: "tls.crt", Key: "tls.key"}},
			MinVersion:   "1.2",
		},
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
		LMTP:  LMTP{MaxSize: 64 << 20},
		Store: Store{Kind: "sqlite"},
		Quota: Quota{DefaultStorage: Unlimited, DefaultMessages: -1},
		Mailboxes: Mailboxes{Default: []Mailbox{
			{Name: "Drafts", Use: `\Drafts`},
			{Name: "Sent", Use: `\Sent`},
			{Name: "Archive", Use: `\Archive`},
			{Name: "Junk", Use: `\Junk`},
			{Name: "Trash", Use: `\Trash`},
		}},
		EventBus: EventBus{Delivery: "mixed", QueueLimit: 1024},
		Tracker:  Tracker{Budget: 256 << 20, GapWait: 50 * time.Millisecond},
	}
}
