package wire

import "github.com/emersion/go-imap/v2"

// A QuotaLimit is one resource of a SETQUOTA command, in the resource's own
// unit: 1,024 octets for STORAGE, messages for MESSAGE (RFC 9208 §5).
type QuotaLimit struct {
	Resource imap.QuotaResourceType // upper case
	Limit    int64
}

// A SetQuota is the argument list of SETQUOTA (RFC 9208 §4.1.3).
type SetQuota struct {
	Root   string
	Limits []QuotaLimit // may be empty: no limits
}

// maxResources bounds the list of SETQUOTA; four resources exist.
const maxResources = 16

// GetQuota reads the argument of GETQUOTA: a quota root (RFC 9208 §4.1.1).
func (d *Decoder) GetQuota() (string, error) {
	if err := d.SP(); err != nil {
		return "", err
	}
	root, err := d.AString()
	if err != nil {
		return "", err
	}
	return root, d.End()
}

// SetQuota reads the arguments of SETQUOTA.
func (d *Decoder) SetQuota() (SetQuota, error) {
	var s SetQuota
	var err error
	if err = d.SP(); err != nil {
		return s, err
	}
	if s.Root, err = d.AString(); err != nil {
		return s, err
	}
	if err = d.SP(); err != nil {
		return s, err
	}
	err = d.list(true, func() error {
		name, err := d.keyword()
		if err != nil {
			return err
		}
		if err := d.SP(); err != nil {
			return err
		}
		limit, err := d.Number64()
		if err != nil {
			return err
		}
		if len(s.Limits) == maxResources {
			return syntax("too many resources")
		}
		s.Limits = append(s.Limits, QuotaLimit{Resource: imap.QuotaResourceType(name), Limit: limit})
		return nil
	})
	if err != nil {
		return s, err
	}
	return s, d.End()
}
