package wire

import (
	"strings"

	"github.com/emersion/go-imap/v2"
)

// A Store is the argument list of STORE or UID STORE (RFC 9051 §6.4.6).
type Store struct {
	Set   imap.NumSet
	Flags imap.StoreFlags
	// UnchangedSince counts only if Conditional is set; 0 is a value of its own: no
	// message matches it (RFC 7162 §3.1.3).
	UnchangedSince uint64
	Conditional    bool
}

// Store reads the arguments of STORE, or of UID STORE if uid is set.
func (d *Decoder) Store(uid bool) (Store, error) {
	var s Store
	var err error
	if s.Set, err = d.spSet(uid); err != nil {
		return s, err
	}
	if err = d.SP(); err != nil {
		return s, err
	}
	if d.peek() == '(' {
		if err = d.list(false, func() error { return d.storeModifier(&s) }); err != nil {
			return s, err
		}
		if err = d.SP(); err != nil {
			return s, err
		}
	}
	item, err := d.keyword()
	if err != nil {
		return s, err
	}
	switch {
	case strings.HasPrefix(item, "+"):
		s.Flags.Op, item = imap.StoreFlagsAdd, item[1:]
	case strings.HasPrefix(item, "-"):
		s.Flags.Op, item = imap.StoreFlagsDel, item[1:]
	}
	item, s.Flags.Silent = strings.CutSuffix(item, ".SILENT")
	if item != "FLAGS" {
		return s, syntax("unknown STORE item")
	}
	if err = d.SP(); err != nil {
		return s, err
	}
	if d.peek() == '(' {
		s.Flags.Flags, err = d.FlagList()
	} else {
		err = d.bareFlags(&s.Flags.Flags)
	}
	if err != nil {
		return s, err
	}
	return s, d.End()
}

// storeModifier reads one modifier.
func (d *Decoder) storeModifier(s *Store) error {
	name, err := d.keyword()
	if err != nil {
		return err
	}
	if name != "UNCHANGEDSINCE" || s.Conditional {
		return syntax("unknown STORE modifier")
	}
	if err := d.SP(); err != nil {
		return err
	}
	s.Conditional = true
	s.UnchangedSince, err = d.ModSeq(true)
	return err
}

// bareFlags reads one or more flags without parentheses.
func (d *Decoder) bareFlags(flags *[]imap.Flag) error {
	for {
		if err := d.appendFlag(flags); err != nil {
			return err
		}
		if !d.accept(' ') {
			return nil
		}
	}
}

// spSet reads a space and a sequence set.
func (d *Decoder) spSet(uid bool) (imap.NumSet, error) {
	if err := d.SP(); err != nil {
		return nil, err
	}
	return d.NumSet(uid)
}

// A Copy is the argument list of COPY, MOVE and their UID forms (RFC 9051 §6.4.7, §6.4.8).
type Copy struct {
	Set     imap.NumSet
	Mailbox string
}

// Copy reads the arguments of COPY or MOVE, or of the UID form if uid is set.
func (d *Decoder) Copy(uid bool) (Copy, error) {
	var c Copy
	var err error
	if c.Set, err = d.spSet(uid); err != nil {
		return c, err
	}
	if c.Mailbox, err = d.spMailbox(); err != nil {
		return c, err
	}
	return c, d.End()
}

// UIDExpunge reads the argument of UID EXPUNGE (RFC 9051 §6.4.9).
func (d *Decoder) UIDExpunge() (imap.UIDSet, error) {
	set, err := d.spSet(true)
	if err != nil {
		return nil, err
	}
	return set.(imap.UIDSet), d.End()
}
