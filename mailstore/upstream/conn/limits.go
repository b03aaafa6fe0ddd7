package conn

import "time"

// Limits bound what a server may make a connection hold or do. All are in octets unless
// they say otherwise, and all must be positive.
type Limits struct {
	// Response bounds one response, without the bodies that are read as a stream: the
	// result of a SEARCH is one response.
	Response int64
	// Value bounds one value that is held in memory: a string, a response code, an ENVELOPE.
	Value int
	// Memory bounds about what the results of the commands of one Do take.
	Memory int
	// Depth bounds how deep the lists of a value nest.
	Depth int
	// Items bounds how many items one FETCH response may have.
	Items int
	// Skip bounds what is thrown away during one operation to get past what
	// nobody reads: bodies, responses that are not known, values that are too big.
	Skip int64
}

// DefaultLimits serve mailboxes of a million messages.
func DefaultLimits() Limits {
	return Limits{Response: 16 << 20, Value: 1 << 20, Memory: 32 << 20, Depth: 256, Items: 1024, Skip: 4 << 20}
}

// Timeouts bound how long a connection waits. 0 means for ever.
type Timeouts struct {
	Dial     time.Duration // for the TCP connection
	TLS      time.Duration // for a TLS handshake
	Login    time.Duration // of silence during LOGIN and AUTHENTICATE: servers delay a refusal
	Response time.Duration // of silence while a response is due, the greeting included
	Write    time.Duration // for the server to take 32 KiB
}

// DefaultTimeouts suit a server in the same country.
func DefaultTimeouts() Timeouts {
	return Timeouts{Dial: 10 * time.Second, TLS: 10 * time.Second, Login: 30 * time.Second,
		Response: 60 * time.Second, Write: 30 * time.Second}
}
