package wire

import "github.com/emersion/go-imap/v2"

// A Select is the argument list of SELECT or EXAMINE (RFC 9051 §6.3.2).
type Select struct {
	Mailbox   string
	CondStore bool     // RFC 7162 §3.1.8
	QResync   *QResync // nil if not given
}

// A QResync is what the client says it knows (RFC 7162 §3.2.5).
type QResync struct {
	UIDValidity uint32
	ModSeq      uint64
	KnownUIDs   imap.UIDSet // nil if not given: all
	// Seqs and UIDs are ascending and of equal size: message Seqs[i] had UID UIDs[i].
	// Both nil if not given.
	Seqs imap.SeqSet
	UIDs imap.UIDSet
}

// Select reads the arguments of SELECT or EXAMINE.
func (d *Decoder) Select() (Select, error) {
	var s Select
	var err error
	if s.Mailbox, err = d.spMailbox(); err != nil {
		return s, err
	}
	if d.accept(' ') {
		err = d.list(false, func() error {
			name, err := d.keyword()
			switch {
			case err != nil:
				return err
			case name == "CONDSTORE" && !s.CondStore:
				s.CondStore = true
				return nil
			case name == "QRESYNC" && s.QResync == nil:
				s.QResync = new(QResync)
				return d.qresync(s.QResync)
			}
			return syntax("unknown SELECT parameter")
		})
		if err != nil {
			return s, err
		}
	}
	return s, d.End()
}

// qresync reads SP "(" uidvalidity SP modseq [SP known-uids] [SP seq-match-data] ")".
func (d *Decoder) qresync(q *QResync) (err error) {
	if err = d.SP(); err != nil {
		return err
	}
	if err = d.expect('('); err != nil {
		return err
	}
	if q.UIDValidity, err = d.NZNumber(); err != nil {
		return err
	}
	if err = d.SP(); err != nil {
		return err
	}
	if q.ModSeq, err = d.ModSeq(false); err != nil {
		return err
	}
	match := false
	if d.accept(' ') {
		if match = d.peek() == '('; !match {
			if q.KnownUIDs, err = d.UIDSet(); err != nil {
				return err
			}
			if err = fixed(q.KnownUIDs); err != nil {
				return err
			}
			match = d.accept(' ')
		}
	}
	if match {
		if err = d.seqMatch(q); err != nil {
			return err
		}
	}
	return d.expect(')')
}

// seqMatch reads "(" known-sequence-set SP known-uid-set ")".
func (d *Decoder) seqMatch(q *QResync) (err error) {
	if err = d.expect('('); err != nil {
		return err
	}
	if q.Seqs, err = d.SeqSet(); err != nil {
		return err
	}
	if err = d.SP(); err != nil {
		return err
	}
	if q.UIDs, err = d.UIDSet(); err != nil {
		return err
	}
	if q.Seqs.Dynamic() || q.UIDs.Dynamic() {
		return syntax("* is not allowed in QRESYNC")
	}
	var seqs, uids uint64
	for _, r := range q.Seqs {
		seqs += uint64(r.Stop-r.Start) + 1
	}
	for _, r := range q.UIDs {
		uids += uint64(r.Stop-r.Start) + 1
	}
	if seqs != uids {
		return syntax("QRESYNC sets differ in size")
	}
	return d.expect(')')
}
