package cluster

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/starling-mail/starling/eventbus/codec"
)

// Bounds of what a node says about itself, in bytes. Together they stay below what memberlist carries (512).
const (
	maxName    = 63
	maxVersion = 64
	maxAddress = 128
	maxCodecs  = 16
)

// metaVersion is the first byte of a meta.
const metaVersion = 1

// Flags of a meta.
const (
	drainingFlag = 1 << iota
	interestFlag
)

var errMeta = errors.New("a member's metadata are malformed")

// A meta is what the others are told about a node by gossip.
type meta struct {
	instance uint64 // random for each process: another one of the same name is another
	draining bool
	interest bool          // it understands announcements of what others listen to, and sends them nothing else
	codecs   []codec.Codec // that it reads
	version  string        // of the program, for people
	stream   string        // host:port for streams; without a host, that of its gossip
	keys     []Fingerprint // that it accepts, the one that it uses first; none: it does not tell
}

// append writes m: the version, the instance, a byte of flags, and texts each after a byte of length, the keys as one.
func (m *meta) append(dst []byte) []byte {
	dst = append(dst, metaVersion)
	dst = binary.BigEndian.AppendUint64(dst, m.instance)
	flags := byte(0)
	if m.draining {
		flags |= drainingFlag
	}
	if m.interest {
		flags |= interestFlag
	}
	dst = append(dst, flags, byte(len(m.codecs)))
	for _, c := range m.codecs {
		dst = append(dst, byte(c))
	}
	dst = append(append(dst, byte(len(m.version))), m.version...)
	dst = append(append(dst, byte(len(m.stream))), m.stream...)
	dst = append(dst, byte(len(m.keys)*len(Fingerprint{})))
	for _, k := range m.keys {
		dst = append(dst, k[:]...)
	}
	return dst
}

// parseMeta reads what append wrote, and passes over what a newer node adds.
func parseMeta(b []byte) (m meta, err error) {
	if len(b) < 10 || b[0] != metaVersion {
		return meta{}, errMeta
	}
	m.instance, m.draining, m.interest = binary.BigEndian.Uint64(b[1:]), b[9]&drainingFlag != 0, b[9]&interestFlag != 0
	b = b[10:]
	text := func(limit int) (s []byte) {
		if err != nil || len(b) < 1 || int(b[0]) > min(limit, len(b)-1) {
			err = errMeta
			return nil
		}
		s, b = b[1:1+b[0]], b[1+b[0]:]
		return s
	}
	for _, c := range text(maxCodecs) {
		m.codecs = append(m.codecs, codec.Codec(c))
	}
	m.version, m.stream = string(text(maxVersion)), string(text(maxAddress))
	if len(b) > 0 { // older nodes do not say it
		const size = len(Fingerprint{})
		keys := text(maxKeys * size)
		if err != nil || len(keys)%size != 0 {
			return meta{}, errMeta
		}
		for k := range slices.Chunk(keys, size) {
			m.keys = append(m.keys, Fingerprint(k))
		}
	}
	if err != nil {
		return meta{}, err
	}
	return m, nil
}

// codecFor returns the codec to send in: want, if the receiver reads it.
func (m *meta) codecFor(want codec.Codec) codec.Codec {
	if slices.Contains(m.codecs, want) {
		return want
	}
	return codec.MessagePack
}
