package wire

import "github.com/emersion/go-imap/v2"

// A Status is the argument list of STATUS (RFC 9051 §6.3.11).
type Status struct {
	Mailbox string
	Items   imap.StatusOptions
}

// Status reads the arguments of STATUS.
func (d *Decoder) Status() (Status, error) {
	var s Status
	var err error
	if s.Mailbox, err = d.spMailbox(); err != nil {
		return s, err
	}
	if err = d.SP(); err != nil {
		return s, err
	}
	items, err := d.statusItems()
	if err != nil {
		return s, err
	}
	s.Items = *items
	return s, d.End()
}

// statusItems reads a list of status items, as STATUS and LIST RETURN have it.
func (d *Decoder) statusItems() (*imap.StatusOptions, error) {
	o := new(imap.StatusOptions)
	err := d.list(false, func() error {
		name, err := d.keyword()
		if err != nil {
			return err
		}
		switch name {
		case "MESSAGES":
			o.NumMessages = true
		case "RECENT": // RFC 3501 only
			o.NumRecent = true
		case "UIDNEXT":
			o.UIDNext = true
		case "UIDVALIDITY":
			o.UIDValidity = true
		case "UNSEEN":
			o.NumUnseen = true
		case "DELETED":
			o.NumDeleted = true
		case "SIZE": // RFC 8438
			o.Size = true
		case "HIGHESTMODSEQ": // RFC 7162 §3.1.7
			o.HighestModSeq = true
		case "APPENDLIMIT": // RFC 7889
			o.AppendLimit = true
		case "DELETED-STORAGE": // RFC 9208 §4.1.4
			o.DeletedStorage = true
		default:
			return syntax("unknown status item")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return o, nil
}
