package wire

// An IDField is one pair of the ID command (RFC 2971 §3.1).
type IDField struct {
	Name  string
	Value string
	Nil   bool // the value is NIL
}

// Limits of RFC 2971 §3.3.
const (
	maxIDFields = 30
	maxIDName   = 30
	maxIDValue  = 1024
)

// ID reads the arguments of ID; NIL gives no fields.
func (d *Decoder) ID() ([]IDField, error) {
	if err := d.SP(); err != nil {
		return nil, err
	}
	if d.peek() != '(' {
		if _, isString, err := d.NString(); err != nil || isString {
			return nil, syntax("ID needs a list or NIL")
		}
		return nil, d.End()
	}
	var fields []IDField
	err := d.list(true, func() error {
		name, err := d.String()
		if err != nil {
			return err
		}
		if err := d.SP(); err != nil {
			return err
		}
		value, ok, err := d.NString()
		if err != nil {
			return err
		}
		if len(name) > maxIDName || len(value) > maxIDValue || len(fields) == maxIDFields {
			return syntax("ID has too many or too long fields")
		}
		fields = append(fields, IDField{Name: name, Value: value, Nil: !ok})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return fields, d.End()
}

// maxCaps bounds the capabilities of one ENABLE.
const maxCaps = 64

// Enable reads the arguments of ENABLE: capabilities, in upper case (RFC 9051 §6.3.1).
func (d *Decoder) Enable() ([]string, error) {
	var caps []string
	for {
		if err := d.SP(); err != nil {
			return nil, err
		}
		name, err := d.keyword()
		if err != nil {
			return nil, err
		}
		if len(caps) == maxCaps {
			return nil, syntax("too many capabilities")
		}
		caps = append(caps, name)
		if d.peek() != ' ' {
			return caps, d.End()
		}
	}
}

// Compress reads the argument of COMPRESS: an algorithm, in upper case (RFC 4978 §3).
func (d *Decoder) Compress() (string, error) {
	if err := d.SP(); err != nil {
		return "", err
	}
	name, err := d.keyword()
	if err != nil {
		return "", err
	}
	return name, d.End()
}
