package wire

import "github.com/emersion/go-imap/v2"

// A List is the argument list of LIST (RFC 9051 §6.3.9) or LSUB (RFC 3501 §6.3.9).
type List struct {
	Reference string
	Patterns  []string // at least one
	Options   imap.ListOptions
	// Extended is set if the command had selection options, return options or a list
	// of patterns, so that it is not the LIST of RFC 3501.
	Extended bool
}

// maxPatterns bounds the patterns of one LIST.
const maxPatterns = 64

// List reads the arguments of LIST. Unknown options are a *SyntaxError (RFC 5258 §3).
func (d *Decoder) List() (List, error) {
	var l List
	err := d.SP()
	if err != nil {
		return l, err
	}
	if d.peek() == '(' {
		l.Extended = true
		if err = d.list(true, func() error { return d.listSelect(&l.Options) }); err != nil {
			return l, err
		}
		o := &l.Options
		if o.SelectRecursiveMatch && !o.SelectSubscribed && !o.SelectSpecialUse {
			return l, syntax("RECURSIVEMATCH needs another selection option")
		}
		if err = d.SP(); err != nil {
			return l, err
		}
	}
	if l.Reference, err = d.Mailbox(); err != nil {
		return l, err
	}
	if err = d.SP(); err != nil {
		return l, err
	}
	pattern := func() error {
		p, err := d.ListMailbox()
		if err != nil {
			return err
		}
		if len(l.Patterns) == maxPatterns {
			return syntax("too many patterns")
		}
		l.Patterns = append(l.Patterns, p)
		return nil
	}
	if d.peek() == '(' {
		l.Extended = true
		err = d.list(false, pattern)
	} else {
		err = pattern()
	}
	if err != nil {
		return l, err
	}
	if d.accept(' ') {
		l.Extended = true
		if err = d.listReturn(&l.Options); err != nil {
			return l, err
		}
	}
	return l, d.End()
}

// LSub reads the arguments of LSUB.
func (d *Decoder) LSub() (List, error) {
	var l List
	var err error
	if l.Reference, err = d.spMailbox(); err != nil {
		return l, err
	}
	if err = d.SP(); err != nil {
		return l, err
	}
	p, err := d.ListMailbox()
	if err != nil {
		return l, err
	}
	l.Patterns = []string{p}
	return l, d.End()
}

// listSelect reads one selection option.
func (d *Decoder) listSelect(o *imap.ListOptions) error {
	name, err := d.keyword()
	if err != nil {
		return err
	}
	switch name {
	case "SUBSCRIBED":
		o.SelectSubscribed = true
	case "REMOTE":
		o.SelectRemote = true
	case "RECURSIVEMATCH":
		o.SelectRecursiveMatch = true
	case "SPECIAL-USE": // RFC 6154 §2
		o.SelectSpecialUse = true
	default:
		return syntax("unknown LIST selection option")
	}
	return nil
}

// listReturn reads "RETURN" SP "(" [option *(SP option)] ")".
func (d *Decoder) listReturn(o *imap.ListOptions) error {
	name, err := d.keyword()
	if err != nil {
		return err
	}
	if name != "RETURN" {
		return syntax("expected RETURN")
	}
	if err := d.SP(); err != nil {
		return err
	}
	return d.list(true, func() error {
		name, err := d.keyword()
		if err != nil {
			return err
		}
		switch name {
		case "SUBSCRIBED":
			o.ReturnSubscribed = true
		case "CHILDREN":
			o.ReturnChildren = true
		case "SPECIAL-USE":
			o.ReturnSpecialUse = true
		case "STATUS": // RFC 5819
			if err := d.SP(); err != nil {
				return err
			}
			o.ReturnStatus, err = d.statusItems()
			return err
		default:
			return syntax("unknown LIST return option")
		}
		return nil
	})
}
