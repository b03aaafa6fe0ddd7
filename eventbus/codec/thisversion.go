//go:build !starling_nextversion

package codec

// nextVersion makes of the event that begins at b[start] what a later version would write: in this one, nothing else. The build tag
// starling_nextversion makes a later version, for tests of nodes of different versions.
func (c Codec) nextVersion(b []byte, start int) []byte { return b }
