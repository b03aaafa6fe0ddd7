package wire

import (
	"math"

	"github.com/emersion/go-imap/v2"
)

// fetchSection reads the section of the item name, from its "[" on.
func (d *Decoder) fetchSection(f *FetchItems, name string) error {
	var s FetchSection
	switch name {
	case "BODY":
	case "BODY.PEEK":
		s.Peek = true
	case "BINARY":
		s.Kind = SectionBinary
	case "BINARY.PEEK":
		s.Kind, s.Peek = SectionBinary, true
	case "BINARY.SIZE":
		s.Kind, s.Peek = SectionBinarySize, true
	default:
		return syntax("unknown FETCH item")
	}
	d.pos++
	if err := d.partPath(&s); err != nil {
		return err
	}
	if err := d.expect(']'); err != nil {
		return err
	}
	if s.Kind != SectionBinarySize && d.accept('<') {
		partial, err := d.partial()
		if err != nil {
			return err
		}
		s.Partial = partial
	}
	return f.add(s)
}

// partPath reads what stands between the brackets: part numbers and, for
// BODY, a specifier.
func (d *Decoder) partPath(s *FetchSection) error {
	body := s.Kind == SectionBody
	for isDigit(d.peek()) {
		n, err := d.NZNumber()
		if err != nil {
			return err
		}
		if len(s.Part) == maxPartDepth || int64(n) > math.MaxInt32 {
			return syntax("section is too deep")
		}
		s.Part = append(s.Part, int(n))
		if !d.accept('.') {
			return nil
		}
		if !isDigit(d.peek()) {
			if !body {
				return syntax("malformed section")
			}
			return d.specifier(s)
		}
	}
	if !body || d.peek() == ']' {
		return nil
	}
	return d.specifier(s)
}

// specifier reads HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT or MIME; the
// last only behind a part number.
func (d *Decoder) specifier(s *FetchSection) error {
	switch upper(d.take(isAtomChar)) {
	case "HEADER":
		s.Specifier = imap.PartSpecifierHeader
	case "TEXT":
		s.Specifier = imap.PartSpecifierText
	case "MIME":
		if len(s.Part) == 0 {
			return syntax("MIME needs a part number")
		}
		s.Specifier = imap.PartSpecifierMIME
	case "HEADER.FIELDS":
		s.Specifier = imap.PartSpecifierHeader
		return d.headerList(&s.HeaderFields)
	case "HEADER.FIELDS.NOT":
		s.Specifier = imap.PartSpecifierHeader
		return d.headerList(&s.HeaderFieldsNot)
	default:
		return syntax("malformed section")
	}
	return nil
}

// headerList reads SP "(" field *(SP field) ")".
func (d *Decoder) headerList(fields *[]string) error {
	if err := d.SP(); err != nil {
		return err
	}
	return d.list(false, func() error {
		name, err := d.AString()
		if err != nil {
			return err
		}
		if name == "" || len(*fields) == maxHeaderFields {
			return syntax("empty or too many header fields")
		}
		*fields = append(*fields, name)
		return nil
	})
}

// partial reads offset "." size ">".
func (d *Decoder) partial() (*imap.SectionPartial, error) {
	offset, err := d.Number64()
	if err != nil {
		return nil, err
	}
	if err := d.expect('.'); err != nil {
		return nil, err
	}
	size, err := d.Number64()
	if err != nil {
		return nil, err
	}
	if size == 0 {
		return nil, syntax("partial must not be empty")
	}
	return &imap.SectionPartial{Offset: offset, Size: size}, d.expect('>')
}
