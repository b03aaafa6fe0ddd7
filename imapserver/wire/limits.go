package wire

// Limits bounds what one command may cost. All are in octets; zero means none
// are allowed, except for NonSync.
type Limits struct {
	Line    int // one line, that is a command or the part between two literals, without CRLF
	Literal int // one literal that stands for a string; messages of APPEND are not meant
	Command int // all lines and such literals of one command together
	// NonSync bounds non-synchronising literals, messages of APPEND included: 4096 for
	// LITERAL- (RFC 7888 §5), zero for LITERAL+, where only the other limits count.
	NonSync int64
	// Discard bounds what is skipped to find the start of the next command after an error.
	Discard int64
}

// DefaultLimits are meant for clients that have logged in.
func DefaultLimits() Limits {
	return Limits{Line: 64 << 10, Literal: 64 << 10, Command: 256 << 10, Discard: 64 << 20}
}

// PreAuthLimits are meant for clients that have not logged in yet: enough for
// LOGIN, ID and a SASL initial response.
func PreAuthLimits() Limits {
	return Limits{Line: 16 << 10, Literal: 4 << 10, Command: 40 << 10, Discard: 64 << 10}
}
