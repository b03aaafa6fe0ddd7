package codec

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

// decodeJSON reads a frame at once if it looks like one of this version, and otherwise piece by piece: so that an invalid piece ends it before memory is taken
// for the others, and one that this version does not know does not.
func decodeJSON(b []byte) (f Frame, ok bool) {
	if f, ok = decodeJSONWhole(b); ok {
		return f, true
	}
	return decodeJSONPieces(b)
}

// decodeJSONWhole reads a frame in which everything is known.
func decodeJSONWhole(b []byte) (f Frame, ok bool) {
	// A value takes more memory than its text. What we write has no small objects and no nulls, so neither can be a means to make us take much more.
	if bytes.Count(b, []byte("{"))*16 > len(b) || bytes.Contains(b, []byte("null")) {
		return Frame{}, false
	}
	var j jsonFrame[[]jsonEvent[[]jsonFlags]]
	if strictly(b, &j) != nil || len(j.Events) > MaxList {
		return Frame{}, false
	}
	if f.Origin, ok = origin(j.Origin); !ok {
		return Frame{}, false
	}
	f.First = j.First
	for i := range j.Events {
		if !known(j.Events[i].Kind) {
			f.Unknown++
			continue
		}
		e, ok := j.Events[i].event()
		if !ok {
			return Frame{}, false
		}
		if c := j.Events[i].Change; c != nil {
			if e.Change, ok = c.change(); !ok || len(c.Flags) > MaxList {
				return Frame{}, false
			}
			for k := range c.Flags {
				change, ok := c.Flags[k].flagChange()
				if !ok {
					return Frame{}, false
				}
				e.Change.Flags = append(e.Change.Flags, change)
			}
		}
		if !valid(&e) {
			return Frame{}, false
		}
		f.Events = append(f.Events, e)
	}
	return f, true
}

func decodeJSONPieces(b []byte) (f Frame, ok bool) {
	var j jsonFrame[json.RawMessage]
	if json.Unmarshal(b, &j) != nil {
		return Frame{}, false
	}
	if f.Origin, ok = origin(j.Origin); !ok {
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

func origin(s string) (v uint64, ok bool) {
	v, err := strconv.ParseUint(s, 16, 64)
	return v, err == nil && len(s) == 16
}

// decodeJSONEvent reads one event. Of one that cannot be read, and whose kind is a known one, it returns
// something that is not valid.
func decodeJSONEvent(b []byte) (e mailbox.Event, isKnown, trailing bool) {
	var j jsonEvent[json.RawMessage]
	if trailing = strictly(b, &j) != nil; trailing {
		var head struct {
			Kind uint64 `json:"kind"`
		}
		if json.Unmarshal(b, &head) == nil && !known(head.Kind) {
			return e, false, false
		}
		j = jsonEvent[json.RawMessage]{}
		if json.Unmarshal(b, &j) != nil {
			return mailbox.Event{Kind: mailbox.EventChanged}, true, false
		}
	}
	if !known(j.Kind) {
		return e, false, false
	}
	e, ok := j.event()
	if j.Change != nil && ok {
		var more bool
		if e.Change, ok = j.Change.change(); ok {
			e.Change.Flags, more, ok = flagPieces(j.Change.Flags)
		}
		trailing = trailing || more
	}
	if !ok {
		return mailbox.Event{Kind: mailbox.EventChanged}, true, false
	}
	return e, true, trailing
}

// event returns all of j but its Change.
func (j *jsonEvent[F]) event() (e mailbox.Event, ok bool) {
	e = mailbox.Event{Kind: mailbox.EventKind(j.Kind), Name: j.Name, OldName: j.OldName}
	ok = id(j.Account, (*[16]byte)(&e.Account)) && id(j.Mailbox, (*[16]byte)(&e.Mailbox)) && id(j.User, (*[16]byte)(&e.User))
	return e, ok
}

// strictly is json.Unmarshal that refuses unknown names.
func strictly(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.InputOffset() < int64(len(b)) {
		return ErrMalformed // a frame is one value
	}
	return nil
}

// change returns all of j but its flag changes.
func (j *jsonChange[F]) change() (c *mailbox.Change, ok bool) {
	n := j.Counts
	c = &mailbox.Change{
		Line: j.Line, Prev: mailbox.ModSeq(j.Prev), ModSeq: mailbox.ModSeq(j.ModSeq), Truncated: j.Truncated,
		Counts: mailbox.Counts{
			Messages: n.Messages, Unseen: n.Unseen, Deleted: n.Deleted, Size: n.Size, DeletedSize: n.DeletedSize, UIDNext: imap.UID(n.UIDNext),
		},
	}
	if c.Added, ok = ranges(j.Added); !ok {
		return nil, false
	}
	c.Expunged, ok = ranges(j.Expunged)
	return c, ok
}

func (j *jsonFlags) flagChange() (c mailbox.FlagChange, ok bool) {
	c.Flags = mailbox.Flags{System: mailbox.SystemFlags(j.System), Keywords: j.Keywords}
	if c.UIDs, ok = ranges(j.UIDs); !ok {
		return c, false
	}
	return c, id(j.User, (*[16]byte)(&c.User))
}

// flagPieces reads flag changes one by one.
func flagPieces(b json.RawMessage) (list []mailbox.FlagChange, trailing, ok bool) {
	if len(b) == 0 {
		return nil, false, true
	}
	ok = elements(b, func(b json.RawMessage) bool {
		var f jsonFlags
		if strictly(b, &f) != nil {
			if trailing, f = true, (jsonFlags{}); json.Unmarshal(b, &f) != nil {
				return false
			}
		}
		c, ok := f.flagChange()
		list = append(list, c)
		return ok
	})
	return list, trailing, ok
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
