//go:build starling_nextversion

package codec

import (
	"bytes"

	"github.com/starling-mail/starling/mailbox"
)

// nextVersion makes of the event that begins at b[start] what a later version would write: with a field more, and of a kind
// that is new where this version writes EventSubscribed.
func (c Codec) nextVersion(b []byte, start int) []byte {
	if c == JSON {
		event := bytes.Replace(b[start:], []byte(`{"kind":5,`), []byte(`{"kind":100,`), 1)
		return append(append(b[:start], event[:len(event)-1]...), `,"added":{"in":["the","next",0]}}`...)
	}
	b[start]++ // the array has an element more
	if kind := &b[start+1]; *kind == byte(mailbox.EventSubscribed) {
		*kind = 100
	}
	return append(b, 0x92, 0xc0, 0xa1, 'x') // [nil, "x"]
}
