package codec

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

func decodeJSON(b []byte) (f Frame, ok bool) {
	var j jsonFrame
	if json.Unmarshal(b, &j) != nil || len(j.Origin) != 16 {
		return Frame{}, false
	}
	var err error
	if f.Origin, err = strconv.ParseUint(j.Origin, 16, 64); err != nil {
		return Frame{}, false
	}
	f.First = j.First
	ok = elements(j.Events, func(b json.RawMessage) bool {
		e, known, trailing := decodeJSONEvent(b)
		switch {
		case !known:
			f.Unknown++
			return true
		case !valid(&e):
			return false
		}
		f.Events = append(f.Events, e)
		if trailing {
			f.Trailing++
		}
		return true
	})
	if !ok {
		return Frame{}, false
	}
	return f, true
}

// decodeJSONEvent reads one event. Of one that cannot be read, and whose kind is a known one, it returns
// something that is not valid.
func decodeJSONEvent(b []byte) (e mailbox.Event, isKnown, trailing bool) {
	var j jsonEvent
	if trailing = strictly(b, &j) != nil; trailing {
		var head struct {
			Kind uint64 `json:"kind"`
		}
		if json.Unmarshal(b, &head) == nil && !known(head.Kind) {
			return e, false, false
		}
		j = jsonEvent{}
		if json.Unmarshal(b, &j) != nil {
			return mailbox.Event{Kind: mailbox.EventChanged}, true, false
		}
	}
	if !known(j.Kind) {
		return e, false, false
	}
	e = mailbox.Event{Kind: mailbox.EventKind(j.Kind), Name: j.Name, OldName: j.OldName}
	ok := id(j.Account, (*[16]byte)(&e.Account)) && id(j.Mailbox, (*[16]byte)(&e.Mailbox)) && id(j.User, (*[16]byte)(&e.User))
	if j.Change != nil {
		var more, good bool
		e.Change, more, good = j.Change.change()
		ok, trailing = ok && good, trailing || more
	}
	if !ok {
		return mailbox.Event{Kind: mailbox.EventChanged}, true, false
	}
	return e, true, trailing
}

// strictly is json.Unmarshal that refuses unknown names.
func strictly(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

func (j *jsonChange) change() (c *mailbox.Change, trailing, ok bool) {
	n := j.Counts
	c = &mailbox.Change{
		Line: j.Line, Prev: mailbox.ModSeq(j.Prev), ModSeq: mailbox.ModSeq(j.ModSeq), Truncated: j.Truncated,
		Counts: mailbox.Counts{
			Messages: n.Messages, Unseen: n.Unseen, Deleted: n.Deleted, Size: n.Size, DeletedSize: n.DeletedSize, UIDNext: imap.UID(n.UIDNext),
		},
	}
	var good bool
	if c.Added, good = ranges(j.Added); !good {
		return nil, false, false
	}
	if c.Expunged, good = ranges(j.Expunged); !good {
		return nil, false, false
	}
	if len(j.Flags) == 0 {
		return c, false, true
	}
	ok = elements(j.Flags, func(b json.RawMessage) bool {
		var f jsonFlags
		if strictly(b, &f) != nil {
			if trailing, f = true, (jsonFlags{}); json.Unmarshal(b, &f) != nil {
				return false
			}
		}
		change := mailbox.FlagChange{Flags: mailbox.Flags{System: mailbox.SystemFlags(f.System), Keywords: f.Keywords}}
		if change.UIDs, good = ranges(f.UIDs); !good || !id(f.User, (*[16]byte)(&change.User)) {
			return false
		}
		c.Flags = append(c.Flags, change)
		return true
	})
	return c, trailing, ok
}

// elements calls each with every element of an array, until it returns false. More than MaxList are not accepted.
func elements(b []byte, each func(json.RawMessage) bool) bool {
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return false
	}
	var m json.RawMessage
	for n := 0; d.More(); n++ {
		if n == MaxList || d.Decode(&m) != nil || !each(m) {
			return false
		}
	}
	if _, err := d.Token(); err != nil { // the closing bracket
		return false
	}
	_, err := d.Token()
	return err == io.EOF
}

// id reads what textID wrote.
func id(s string, dst *[16]byte) bool {
	if s == "" {
		return true
	}
	v, err := mailbox.ParseID(s)
	*dst = v
	return err == nil
}

// ranges reads what bounds wrote; an empty set is nil.
func ranges(list []uint32) (set imap.UIDSet, ok bool) {
	if len(list)%2 != 0 {
		return nil, false
	}
	if len(list) == 0 {
		return nil, true
	}
	set = make(imap.UIDSet, 0, len(list)/2)
	last := uint64(0)
	for i := 0; i < len(list); i += 2 {
		start, stop := uint64(list[i]), uint64(list[i+1])
		if !follows(last, start, stop) {
			return nil, false
		}
		set = append(set, uidRange(start, stop))
		last = stop
	}
	return set, true
}
