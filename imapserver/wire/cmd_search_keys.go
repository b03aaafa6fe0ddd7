package wire

import (
	"unicode/utf8"

	"github.com/emersion/go-imap/v2"
)

// key reads one search key.
func (r *searchReader) key(depth int) (SearchKey, error) {
	if r.keys++; r.keys > maxSearchKeys {
		return nil, syntax("too many search keys")
	}
	if depth > maxSearchDepth {
		return nil, syntax("search keys are nested too deep")
	}
	switch c := r.peek(); {
	case c == '(':
		var and SearchAnd
		err := r.list(false, func() error {
			key, err := r.key(depth + 1)
			and = append(and, key)
			return err
		})
		return and, err
	case c == '*' || c == '$' || isDigit(c):
		set, err := r.NumSet(false)
		return SearchSet{Set: set}, err
	}
	name, err := r.keyword()
	if err != nil {
		return nil, syntax("expected a search key")
	}
	if key := bareKey(name); key != nil {
		return key, nil
	}
	if err := r.SP(); err != nil {
		// Also for an unknown key at the end: the message fits both.
		return nil, syntax("unknown search key or missing argument")
	}
	switch name {
	case "NOT":
		key, err := r.key(depth + 1)
		return SearchNot{Key: key}, err
	case "OR":
		return r.or(depth)
	case "UID":
		set, err := r.NumSet(true)
		return SearchSet{Set: set}, err
	case "KEYWORD", "UNKEYWORD":
		word, err := r.Atom()
		if name == "UNKEYWORD" {
			return SearchNot{Key: SearchFlag(word)}, err
		}
		return SearchFlag(word), err
	case "LARGER", "SMALLER":
		size, err := r.Number64()
		return SearchSize{Larger: name == "LARGER", Size: size}, err
	case "MODSEQ":
		return r.modSeqKey()
	}
	if key, ok := dateKey(name); ok {
		key.Date, err = r.Date()
		return key, err
	}
	return r.textKey(name)
}

// bareKey returns the key for a name that has no argument, or nil.
func bareKey(name string) SearchKey {
	const recent = SearchFlag(FlagRecent)
	seen := SearchFlag(imap.FlagSeen)
	switch name {
	case "ALL":
		return SearchAnd{}
	case "ANSWERED":
		return SearchFlag(imap.FlagAnswered)
	case "DELETED":
		return SearchFlag(imap.FlagDeleted)
	case "DRAFT":
		return SearchFlag(imap.FlagDraft)
	case "FLAGGED":
		return SearchFlag(imap.FlagFlagged)
	case "SEEN":
		return seen
	case "UNANSWERED":
		return SearchNot{Key: SearchFlag(imap.FlagAnswered)}
	case "UNDELETED":
		return SearchNot{Key: SearchFlag(imap.FlagDeleted)}
	case "UNDRAFT":
		return SearchNot{Key: SearchFlag(imap.FlagDraft)}
	case "UNFLAGGED":
		return SearchNot{Key: SearchFlag(imap.FlagFlagged)}
	case "UNSEEN":
		return SearchNot{Key: seen}
	case "RECENT": // this and the next two: RFC 3501 only
		return recent
	case "NEW":
		return SearchAnd{recent, SearchNot{Key: seen}}
	case "OLD":
		return SearchNot{Key: recent}
	}
	return nil
}

// dateKey returns the key for a name whose argument is a date.
func dateKey(name string) (key SearchDate, ok bool) {
	switch name {
	case "BEFORE":
		return SearchDate{Of: DateInternal, When: Before}, true
	case "ON":
		return SearchDate{Of: DateInternal, When: On}, true
	case "SINCE":
		return SearchDate{Of: DateInternal, When: Since}, true
	case "SENTBEFORE":
		return SearchDate{Of: DateSent, When: Before}, true
	case "SENTON":
		return SearchDate{Of: DateSent, When: On}, true
	case "SENTSINCE":
		return SearchDate{Of: DateSent, When: Since}, true
	}
	return key, false
}

// or reads the two keys of OR; keys that are ORs themselves become a part of it.
func (r *searchReader) or(depth int) (SearchKey, error) {
	var or SearchOr
	for i := range 2 {
		if i == 1 {
			if err := r.SP(); err != nil {
				return nil, err
			}
		}
		key, err := r.key(depth + 1)
		if err != nil {
			return nil, err
		}
		if nested, ok := key.(SearchOr); ok {
			or = append(or, nested...)
		} else {
			or = append(or, key)
		}
	}
	return or, nil
}

// textKey reads the argument of a key that searches text.
func (r *searchReader) textKey(name string) (SearchKey, error) {
	key := SearchText{In: InHeader}
	switch name {
	case "BCC", "CC", "FROM", "SUBJECT", "TO":
		key.Field = name
	case "BODY":
		key.In = InBody
	case "TEXT":
		key.In = InText
	case "HEADER":
		var err error
		if key.Field, err = r.AString(); err != nil {
			return nil, err
		}
		if err = r.SP(); err != nil {
			return nil, err
		}
	default:
		return nil, syntax("unknown search key")
	}
	var err error
	if key.Text, err = r.AString(); err != nil {
		return nil, err
	}
	if !utf8.ValidString(key.Text) || !utf8.ValidString(key.Field) {
		return nil, syntax("search text is not valid UTF-8")
	}
	return key, nil
}

// modSeqKey reads [entry SP type SP] modseq (RFC 7162 §3.1.5).
func (r *searchReader) modSeqKey() (SearchKey, error) {
	r.modSeq = true
	var key SearchModSeq
	var err error
	if r.peek() == '"' {
		entry, err := r.quoted()
		if err != nil {
			return nil, err
		}
		const prefix = "/flags/"
		if len(entry) <= len(prefix) || entry[:len(prefix)] != prefix {
			return nil, syntax("unknown MODSEQ entry")
		}
		key.Flag = imap.Flag(entry[len(prefix):])
		if err := r.SP(); err != nil {
			return nil, err
		}
		switch {
		case r.word("priv"):
			key.Type = imap.SearchCriteriaMetadataPrivate
		case r.word("shared"):
			key.Type = imap.SearchCriteriaMetadataShared
		case r.word("all"):
			key.Type = imap.SearchCriteriaMetadataAll
		default:
			return nil, syntax("unknown MODSEQ entry type")
		}
		if err := r.SP(); err != nil {
			return nil, err
		}
	}
	key.ModSeq, err = r.ModSeq(true)
	return key, err
}
