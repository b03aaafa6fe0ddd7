package message

// Limits bound what a Parser keeps of a mail, whatever the mail is. Beyond them nothing fails: parts are no longer told
// apart, so that the rest is body of the innermost one, and header text is cut or treated as missing. A field that is
// zero or negative means the default.
type Limits struct {
	Depth  int // nested parts, the mail itself being 1; default 100, at most 1000
	Parts  int // parts told apart; default 10,000
	Field  int // octets kept of one header field; default 256 KiB
	Header int // octets kept of all the fields of one header that matter here; default 512 KiB
	Total  int // octets of header text and envelopes kept of the parts together; default 4 MiB
}

// maxDepth bounds the depth of any structure, parsed or read from its stored form.
const maxDepth = 1000

func (l Limits) withDefaults() Limits {
	or := func(v, def int) int {
		if v <= 0 {
			return def
		}
		return v
	}
	return Limits{
		Depth:  min(or(l.Depth, 100), maxDepth),
		Parts:  or(l.Parts, 10_000),
		Field:  or(l.Field, 256<<10),
		Header: or(l.Header, 512<<10),
		Total:  or(l.Total, 4<<20),
	}
}
