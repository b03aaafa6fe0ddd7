package conn

import (
	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

// An UpdateKind says what a server told unasked.
type UpdateKind uint8

// The kinds of updates.
const (
	Exists   UpdateKind = 1 // Num messages are in the selected mailbox now
	Expunged UpdateKind = 2 // message number Num is gone, those behind it move up by one
	Vanished UpdateKind = 3 // UIDs are gone (RFC 7162 §3.2.10)
	Fetched  UpdateKind = 4 // Row: a message's flags changed
	Notice   UpdateKind = 5 // OK, NO or BAD with Code and Text: signs of life, ALERT, HIGHESTMODSEQ ...
	Flags    UpdateKind = 6 // other keywords are defined now
)

// An Update is what a server told that no command in progress asked for (RFC 9051 §7).
type Update struct {
	Kind UpdateKind
	Num  uint32
	UIDs imap.UIDSet // for Vanished; ascending, disjoint
	// Truncated says that UIDs are not all, for they took too much memory.
	Truncated bool
	// Earlier is set if a command asked for what had vanished before (RFC 7162 §3.2.10.1).
	Earlier bool
	Row     Row
	Code    imap.ResponseCode
	Text    string
}

// A Row is what a FETCH response says of a message in few octets.
type Row struct {
	Num    uint32 // sequence number
	UID    imap.UID
	ModSeq mailbox.ModSeq // 0 if the server did not say
	Flags  mailbox.Flags  // if HasFlags
	// HasFlags is set if the server told the flags.
	HasFlags bool
}

// rowSize is about what a Row takes in memory, its keywords shared.
const rowSize = 48
