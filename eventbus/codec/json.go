package codec

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

// A jsonFrame is the envelope in JSON. Its events E are a slice of them, or, where they are decoded piece by piece, raw.
type jsonFrame[E any] struct {
	Origin string `json:"origin"` // 16 hexadecimal digits
	First  uint64 `json:"first"`
	Events E      `json:"events"`
}

// A jsonEvent is an event; F is how its flag changes are decoded.
type jsonEvent[F any] struct {
	Kind    uint64         `json:"kind"`
	Account string         `json:"account"` // ids are 32 hexadecimal digits
	Mailbox string         `json:"mailbox,omitempty"`
	Name    string         `json:"name,omitempty"`
	OldName string         `json:"old_name,omitempty"`
	User    string         `json:"user,omitempty"`
	Change  *jsonChange[F] `json:"change,omitempty"`
}

type jsonChange[F any] struct {
	Line      uint64     `json:"line"`
	Prev      uint64     `json:"prev"`
	ModSeq    uint64     `json:"modseq"`
	Added     []uint32   `json:"added,omitempty"` // first and last of each range
	Expunged  []uint32   `json:"expunged,omitempty"`
	Flags     F          `json:"flags,omitempty"`
	Counts    jsonCounts `json:"counts"`
	Truncated bool       `json:"truncated,omitempty"`
}

type jsonFlags struct {
	System   uint8    `json:"system"`
	Keywords string   `json:"keywords,omitempty"`
	User     string   `json:"user,omitempty"`
	UIDs     []uint32 `json:"uids"`
}

type jsonCounts struct {
	Messages    uint32 `json:"messages"`
	Unseen      uint32 `json:"unseen"`
	Deleted     uint32 `json:"deleted"`
	Size        int64  `json:"size"`
	DeletedSize int64  `json:"deleted_size"`
	UIDNext     uint32 `json:"uidnext"`
}

func appendJSONFrame(dst []byte, origin, first uint64, events [][]byte) []byte {
	dst = fmt.Appendf(dst, `{"origin":"%016x","first":`, origin)
	dst = strconv.AppendUint(dst, first, 10)
	dst = append(dst, `,"events":[`...)
	for i, e := range events {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, e...)
	}
	return append(dst, `]}`...)
}

func appendJSONEvent(dst []byte, e *mailbox.Event) []byte {
	j := jsonEvent[[]jsonFlags]{Kind: uint64(e.Kind), Account: e.Account.String(), Mailbox: textID(e.Mailbox), Name: e.Name, OldName: e.OldName, User: textID(e.User)}
	if c := e.Change; c != nil {
		n := c.Counts
		j.Change = &jsonChange[[]jsonFlags]{
			Line: c.Line, Prev: uint64(c.Prev), ModSeq: uint64(c.ModSeq), Added: bounds(c.Added), Expunged: bounds(c.Expunged), Truncated: c.Truncated,
			Counts: jsonCounts{n.Messages, n.Unseen, n.Deleted, n.Size, n.DeletedSize, uint32(n.UIDNext)},
		}
		for _, f := range c.Flags {
			j.Change.Flags = append(j.Change.Flags, jsonFlags{System: uint8(f.Flags.System), Keywords: f.Flags.Keywords, User: textID(f.User), UIDs: bounds(f.UIDs)})
		}
	}
	b, _ := json.Marshal(j) // there is nothing in it that JSON cannot say
	return append(dst, b...)
}

// textID writes an id; one that is absent is empty.
func textID(id [16]byte) string {
	if id == [16]byte{} {
		return ""
	}
	return hex.EncodeToString(id[:])
}

// bounds lists the first and last number of each range.
func bounds(set imap.UIDSet) []uint32 {
	list := make([]uint32, 0, 2*len(set))
	for _, r := range set {
		list = append(list, uint32(r.Start), uint32(r.Stop))
	}
	return list
}
