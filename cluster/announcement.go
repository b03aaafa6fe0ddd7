package cluster

import (
	"encoding/binary"
	"errors"
)

// maxToggles is how many toggles go into one announcement, which then takes 64 KB at most.
const maxToggles = 16 << 10

// interestFrame is the second byte of a frame with an announcement, where others have the byte of their codec.
const interestFrame = 'i'

// announcementVersion is the first byte.
const announcementVersion = 1

// interestAnswer is set in the answer to an announcement, besides its number; in other answers it is not.
const interestAnswer = 1 << 63

var errAnnouncement = errors.New("malformed announcement of what a node listens to")

// A toggle says that a bucket is listened to from now on, or no more: twice the bucket, plus one if it is.
type toggle uint32

func newToggle(bucket uint32, on bool) toggle {
	if on {
		return toggle(2*bucket + 1)
	}
	return toggle(2 * bucket)
}

func (t toggle) bucket() uint32 { return uint32(t / 2) }
func (t toggle) on() bool       { return t%2 == 1 }

// An announcement tells another node what this one listens to, or what has changed of it.
type announcement struct {
	number  uint64 // grows with each change; it is what is answered
	whole   bool   // all buckets that are not named, in this one or the others of its kind around it, are not listened to
	more    bool   // one more is needed before it means anything
	toggles []toggle
}

const (
	wholeFlag = 1 << iota
	moreFlag
)

// isAnnouncement says whether a frame is one, by its beginning.
func isAnnouncement(b []byte) bool {
	return len(b) >= 2 && b[0] == announcementVersion && b[1] == interestFrame
}

// append writes a: two bytes as in other frames, one of flags, the number, how many toggles there are, and of each the bucket less the one before it
// and whether it is on, in one number. The toggles must ascend by bucket, each of which is there once.
func (a *announcement) append(dst []byte) []byte {
	flags := byte(0)
	if a.whole {
		flags |= wholeFlag
	}
	if a.more {
		flags |= moreFlag
	}
	dst = append(dst, announcementVersion, interestFrame, flags)
	dst = binary.AppendUvarint(dst, a.number)
	dst = binary.AppendUvarint(dst, uint64(len(a.toggles)))
	next := toggle(0)
	for _, t := range a.toggles {
		dst = binary.AppendUvarint(dst, uint64(t-next))
		next = newToggle(t.bucket()+1, false)
	}
	return dst
}

// parseAnnouncement reads what append wrote, and passes over what a newer node adds. What it returns keeps nothing of b.
func parseAnnouncement(b []byte) (a announcement, err error) {
	if !isAnnouncement(b) || len(b) < 3 {
		return a, errAnnouncement
	}
	a.whole, a.more = b[2]&wholeFlag != 0, b[2]&moreFlag != 0
	b = b[3:]
	uint := func() (v uint64) {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			err = errAnnouncement
			return 0
		}
		b = b[n:]
		return v
	}
	a.number = uint()
	count := uint()
	if err != nil || a.number >= interestAnswer || count > maxToggles || count > uint64(len(b)) || a.more && !a.whole {
		return announcement{}, errAnnouncement
	}
	a.toggles = make([]toggle, 0, count)
	next := uint64(0)
	for range count {
		next += min(uint(), 2*buckets) // more is too much in any case
		if err != nil || next >= 2*buckets || a.whole && next%2 == 0 {
			return announcement{}, errAnnouncement
		}
		t := toggle(next)
		a.toggles = append(a.toggles, t)
		next = uint64(newToggle(t.bucket()+1, false))
	}
	return a, nil
}

// A hearing is what one node has learnt from another's announcements, which come in order on one stream.
type hearing struct {
	heard    *bucketSet // nil: nothing whole yet, so that the other node must be sent everything
	building *bucketSet // what the parts so far of something whole say
}

// take takes an announcement and returns true if it is to be answered. Its error says that it has no place here; then nothing is known any more.
func (h *hearing) take(a *announcement) (complete bool, err error) {
	into := h.heard
	if a.whole {
		if h.building == nil {
			h.building = new(bucketSet)
		}
		into = h.building
	} else if h.building != nil {
		into = nil
	}
	if into == nil {
		*h = hearing{}
		return false, errAnnouncement
	}
	for _, t := range a.toggles {
		into.put(t.bucket(), t.on())
	}
	if a.whole && !a.more {
		h.heard, h.building = h.building, nil
	}
	return !a.more, nil
}
