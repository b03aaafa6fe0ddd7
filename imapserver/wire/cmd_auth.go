package wire

import "encoding/base64"

// A Login is the argument list of LOGIN (RFC 9051 §6.2.3).
type Login struct{ User, Password string }

// Login reads the arguments of LOGIN. Quoted strings may hold UTF-8, because a
// client cannot enable that before it has logged in (RFC 9051 §9, QUOTED-CHAR).
func (d *Decoder) Login() (Login, error) {
	defer func(before bool) { d.UTF8 = before }(d.UTF8)
	d.UTF8 = true
	var l Login
	var err error
	if err = d.SP(); err != nil {
		return l, err
	}
	if l.User, err = d.AString(); err != nil {
		return l, err
	}
	if err = d.SP(); err != nil {
		return l, err
	}
	if l.Password, err = d.AString(); err != nil {
		return l, err
	}
	return l, d.End()
}

// An Authenticate is the argument list of AUTHENTICATE (RFC 9051 §6.2.2).
type Authenticate struct {
	Mechanism string // upper case
	// Initial is the decoded initial response: nil if there was none, empty but not
	// nil if it was "=" (RFC 4959 §3).
	Initial []byte
}

// Authenticate reads the arguments of AUTHENTICATE.
func (d *Decoder) Authenticate() (Authenticate, error) {
	var a Authenticate
	var err error
	if err = d.SP(); err != nil {
		return a, err
	}
	if a.Mechanism, err = d.keyword(); err != nil {
		return a, err
	}
	if d.accept(' ') {
		b := d.take(func(c byte) bool { return c > ' ' && c < 0x7f })
		switch {
		case len(b) == 0:
			return a, syntax("initial response is missing")
		case string(b) == "=":
			a.Initial = []byte{}
		default:
			if a.Initial, err = decodeBase64(b); err != nil {
				return a, err
			}
		}
	}
	return a, d.End()
}

// AuthResponse reads one line of a SASL exchange and decodes it; cancelled
// means that the client wrote "*" (RFC 9051 §6.2.2). An empty line is an empty
// response.
func (d *Decoder) AuthResponse() (resp []byte, cancelled bool, err error) {
	line, err := d.ReadLine()
	if err != nil {
		return nil, false, err
	}
	if string(line) == "*" {
		return nil, true, nil
	}
	resp, err = decodeBase64(line)
	return resp, false, err
}

func decodeBase64(b []byte) ([]byte, error) {
	out := make([]byte, base64.StdEncoding.DecodedLen(len(b)))
	n, err := base64.StdEncoding.Strict().Decode(out, b)
	if err != nil {
		return nil, syntax("malformed base64")
	}
	return out[:n], nil
}
