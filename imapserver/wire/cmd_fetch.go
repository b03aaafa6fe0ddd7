package wire

import "github.com/emersion/go-imap/v2"

// A Fetch is the argument list of FETCH or UID FETCH (RFC 9051 §6.4.5).
type Fetch struct {
	Set   imap.NumSet
	Items FetchItems
	// ChangedSince is 0 if not given (RFC 7162 §3.1.4.1).
	ChangedSince uint64
	// Vanished is set only for UID FETCH with ChangedSince (RFC 7162 §3.2.6).
	Vanished bool
}

// FetchItems says what to fetch of a message. imap.FetchOptions does not fit
// because it cannot tell BODY from BODYSTRUCTURE when both are asked for, nor
// RFC822.HEADER from BODY[HEADER], and answers repeat the name that was used.
// The caller refuses items of extensions that it does not offer.
type FetchItems struct {
	Flags         bool
	UID           bool
	InternalDate  bool
	Size          bool // RFC822.SIZE
	Envelope      bool
	Body          bool // BODY without a section: BODYSTRUCTURE without extension data
	BodyStructure bool
	ModSeq        bool // RFC 7162 §3.1.4.2
	EmailID       bool // RFC 8474 §5.3
	ThreadID      bool // RFC 8474 §5.3
	SaveDate      bool // RFC 8514
	// Sections lists what is fetched of the message's octets, in the client's order.
	Sections []FetchSection
}

// SectionKind tells the FETCH items that return octets of a message apart.
type SectionKind uint8

const (
	SectionBody         SectionKind = iota // BODY[...]
	SectionRFC822                          // RFC822: BODY[] by another name (RFC 3501 §6.4.5)
	SectionRFC822Header                    // RFC822.HEADER: BODY.PEEK[HEADER]
	SectionRFC822Text                      // RFC822.TEXT: BODY[TEXT]
	SectionBinary                          // BINARY[...]: decoded content (RFC 3516)
	SectionBinarySize                      // BINARY.SIZE[...]: only its size
)

// A FetchSection asks for octets of a message. For every Kind the embedded
// section says which; for the binary kinds it has only Part, Partial and Peek.
// Part holds at most 128 numbers.
type FetchSection struct {
	Kind SectionKind
	imap.FetchItemBodySection
}

// Limits of one FETCH.
const (
	maxFetchSections = 256
	maxPartDepth     = 128
	maxHeaderFields  = 1024
)

// Fetch reads the arguments of FETCH, or of UID FETCH if uid is set: then
// Items.UID is set as well, because the answer holds the UID in any case.
func (d *Decoder) Fetch(uid bool) (Fetch, error) {
	var f Fetch
	var err error
	if f.Set, err = d.spSet(uid); err != nil {
		return f, err
	}
	if err = d.SP(); err != nil {
		return f, err
	}
	if d.peek() == '(' {
		err = d.list(false, func() error { return d.fetchItem(&f.Items, false) })
	} else {
		err = d.fetchItem(&f.Items, true)
	}
	if err != nil {
		return f, err
	}
	if d.accept(' ') {
		if err = d.list(false, func() error { return d.fetchModifier(&f, uid) }); err != nil {
			return f, err
		}
		if f.Vanished && f.ChangedSince == 0 {
			return f, syntax("VANISHED needs CHANGEDSINCE")
		}
	}
	f.Items.UID = f.Items.UID || uid
	// "The server MUST include the MODSEQ" with CHANGEDSINCE (RFC 7162 §3.1.4.1).
	f.Items.ModSeq = f.Items.ModSeq || f.ChangedSince > 0
	return f, d.End()
}

// fetchModifier reads one modifier.
func (d *Decoder) fetchModifier(f *Fetch, uid bool) error {
	name, err := d.keyword()
	switch {
	case err != nil:
		return err
	case name == "CHANGEDSINCE" && f.ChangedSince == 0:
		if err := d.SP(); err != nil {
			return err
		}
		f.ChangedSince, err = d.ModSeq(false)
		return err
	case name == "VANISHED" && uid:
		f.Vanished = true
		return nil
	}
	return syntax("unknown FETCH modifier")
}

// isItemChar is ATOM-CHAR without what begins a section.
func isItemChar(c byte) bool { return isAtomChar(c) && c != '[' }

// fetchItem reads one item, or one macro if macro is set.
func (d *Decoder) fetchItem(f *FetchItems, macro bool) error {
	name := upper(d.take(isItemChar))
	if d.peek() == '[' {
		return d.fetchSection(f, name)
	}
	switch name {
	case "FLAGS":
		f.Flags = true
	case "UID":
		f.UID = true
	case "INTERNALDATE":
		f.InternalDate = true
	case "RFC822.SIZE":
		f.Size = true
	case "ENVELOPE":
		f.Envelope = true
	case "BODY":
		f.Body = true
	case "BODYSTRUCTURE":
		f.BodyStructure = true
	case "MODSEQ":
		f.ModSeq = true
	case "EMAILID":
		f.EmailID = true
	case "THREADID":
		f.ThreadID = true
	case "SAVEDATE":
		f.SaveDate = true
	case "RFC822":
		return f.add(FetchSection{Kind: SectionRFC822})
	case "RFC822.HEADER":
		return f.add(FetchSection{Kind: SectionRFC822Header, FetchItemBodySection: imap.FetchItemBodySection{
			Specifier: imap.PartSpecifierHeader, Peek: true,
		}})
	case "RFC822.TEXT":
		return f.add(FetchSection{Kind: SectionRFC822Text, FetchItemBodySection: imap.FetchItemBodySection{
			Specifier: imap.PartSpecifierText,
		}})
	default:
		return f.macro(name, macro)
	}
	return nil
}

// macro adds the items that a macro stands for. Macros stand alone (RFC 9051 §6.4.5).
func (f *FetchItems) macro(name string, allowed bool) error {
	switch {
	case !allowed:
		return syntax("unknown FETCH item")
	case name == "FAST":
	case name == "ALL":
		f.Envelope = true
	case name == "FULL":
		f.Envelope, f.Body = true, true
	default:
		return syntax("unknown FETCH item")
	}
	f.Flags, f.InternalDate, f.Size = true, true, true
	return nil
}

func (f *FetchItems) add(s FetchSection) error {
	if len(f.Sections) == maxFetchSections {
		return syntax("too many FETCH items")
	}
	f.Sections = append(f.Sections, s)
	return nil
}
