package message

import "strconv"

// AppendBodyStructure appends BODY's value, or with extended BODYSTRUCTURE's (RFC 9051 §7.5.2), to dst. It is the same
// for IMAP4rev1 and IMAP4rev2. Its octet counts are those of the ranges that [Message.Section] gives.
func (m *Message) AppendBodyStructure(dst []byte, extended bool) []byte {
	return m.Root.appendStructure(dst, extended)
}

// appendStructure recurses no deeper than the parser's Limits.Depth.
func (p *Part) appendStructure(dst []byte, extended bool) []byte {
	dst = append(dst, '(')
	if p.IsMultipart() {
		for _, c := range p.Children {
			dst = c.appendStructure(dst, extended)
		}
		dst = append(dst, ' ')
		dst = appendString(dst, p.Subtype)
		if extended {
			dst = append(dst, ' ')
			dst = appendParams(dst, p.Params)
			dst = p.appendExtension(dst)
		}
		return append(dst, ')')
	}

	dst = appendString(dst, p.Type)
	dst = append(dst, ' ')
	dst = appendString(dst, p.Subtype)
	dst = append(dst, ' ')
	dst = appendParams(dst, p.Params)
	dst = append(dst, ' ')
	dst = appendNString(dst, p.ID)
	dst = append(dst, ' ')
	dst = appendNString(dst, p.Description)
	dst = append(dst, ' ')
	dst = appendString(dst, p.Encoding)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, p.Body().Len(), 10)
	switch {
	case p.IsMessage():
		dst = append(dst, ' ')
		dst = append(dst, p.Envelope...)
		dst = append(dst, ' ')
		dst = p.Children[0].appendStructure(dst, extended)
		dst = append(dst, ' ')
		dst = strconv.AppendInt(dst, p.Lines, 10)
	case p.Type == "text":
		dst = append(dst, ' ')
		dst = strconv.AppendInt(dst, p.Lines, 10)
	}
	if extended {
		dst = append(dst, ' ')
		dst = appendNString(dst, p.MD5)
		dst = p.appendExtension(dst)
	}
	return append(dst, ')')
}

// appendExtension appends what ends the extension data of every kind of part: disposition, language, location.
func (p *Part) appendExtension(dst []byte) []byte {
	if p.Disposition == "" {
		dst = append(dst, " NIL "...)
	} else {
		dst = append(dst, " ("...)
		dst = appendString(dst, p.Disposition)
		dst = append(dst, ' ')
		dst = appendParams(dst, p.DispositionParams)
		dst = append(dst, ") "...)
	}
	switch len(p.Language) {
	case 0:
		dst = append(dst, "NIL"...)
	case 1:
		dst = appendString(dst, p.Language[0])
	default:
		sep := byte('(')
		for _, l := range p.Language {
			dst = append(dst, sep)
			dst = appendString(dst, l)
			sep = ' '
		}
		dst = append(dst, ')')
	}
	dst = append(dst, ' ')
	return appendNString(dst, p.Location)
}

func appendParams(dst []byte, params []Param) []byte {
	if len(params) == 0 {
		return append(dst, "NIL"...)
	}
	sep := byte('(')
	for _, q := range params {
		dst = append(dst, sep)
		dst = appendString(dst, q.Name)
		dst = append(dst, ' ')
		dst = appendString(dst, q.Value)
		sep = ' '
	}
	return append(dst, ')')
}
