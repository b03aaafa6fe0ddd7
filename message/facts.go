package message

import "bytes"

const (
	maxMessageIDs  = 100 // kept of one field
	maxMessageID   = 998 // octets: a line (RFC 5322 §2.1.1)
	maxSubjectKept = 998 // octets, decoded
)

// facts sets what m says of its header beside the envelope.
func (h *header) facts(m *Message) {
	m.Date = parseDate(string(h.value(fieldDate)))
	if ids := messageIDs(h.value(fieldMessageID)); len(ids) > 0 {
		m.MessageID = ids[0]
	}
	m.InReplyTo = messageIDs(h.value(fieldInReplyTo))
	m.References = messageIDs(h.value(fieldReferences))
	m.Subject = truncate(DecodeHeader(string(h.value(fieldSubject))), maxSubjectKept)
}

// messageIDs returns the message ids in value, without their angle brackets: of too many, the first and the last.
// A value without any brackets is taken for one id, if it could be.
func messageIDs(value []byte) []string {
	var ids []string
	rest := value
	for {
		i := bytes.IndexByte(rest, '<')
		if i < 0 {
			break
		}
		rest = rest[i+1:]
		end := bytes.IndexAny(rest, "<>")
		if end < 0 {
			break
		}
		if rest[end] == '<' {
			rest = rest[end:]
			continue
		}
		id := bytes.TrimSpace(rest[:end])
		rest = rest[end+1:]
		if len(id) == 0 || len(id) > maxMessageID {
			continue
		}
		if len(ids) == maxMessageIDs {
			ids = append(ids[:1], ids[2:]...)
		}
		ids = append(ids, string(id))
	}
	if ids == nil && len(value) > 0 && len(value) <= maxMessageID && !bytes.ContainsAny(value, " \t<>") {
		return []string{string(value)}
	}
	return ids
}

// truncate cuts s to n octets, not within a character.
func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}
