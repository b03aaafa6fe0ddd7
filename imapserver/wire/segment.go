package wire

import (
	"bufio"
	"bytes"
	"io"
)

// next reads the next line of the current command, or the first of a new one.
func (d *Decoder) next() error {
	d.open, d.seg, d.pos = true, nil, 0
	line, err := d.r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		d.long = d.long[:0]
		for err == bufio.ErrBufferFull && len(d.long)+len(line) <= d.Limits.Line {
			d.long = append(d.long, line...)
			line, err = d.r.ReadSlice('\n')
		}
		if err == bufio.ErrBufferFull {
			d.cut = true
			d.long = append(d.long, line...)
			d.seg, d.over = d.long, len(d.long)
			return &TooBigError{What: "line", Limit: int64(d.Limits.Line)}
		}
		d.long = append(d.long, line...)
		line = d.long
	}
	d.seg = line
	if err == io.EOF && len(line) > d.Limits.Line {
		d.cut, d.over = true, len(line)
		return &TooBigError{What: "line", Limit: int64(d.Limits.Line)}
	}
	if err != nil {
		return unexpected(err)
	}
	d.seg = trimLineEnd(line)
	if len(d.seg) > d.Limits.Line {
		d.over = len(line)
		return &TooBigError{What: "line", Limit: int64(d.Limits.Line)}
	}
	return d.spend(len(d.seg))
}

// spend counts n octets against the limit of the whole command.
func (d *Decoder) spend(n int) error {
	if n > d.Limits.Command-d.used {
		return &TooBigError{What: "command", Limit: int64(d.Limits.Command)}
	}
	d.used += n
	return nil
}

// trimLineEnd removes CRLF or, because some clients and people send it, a lone LF.
func trimLineEnd(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte{'\r'})
}

// maxHeader is longer than any literal's header with its CRLF.
const maxHeader = 32

// tailOf returns as much of the end of line as a literal's header can take.
func tailOf(line []byte) []byte { return line[max(0, len(line)-maxHeader):] }

// Discard skips what is left of the current command, so that the next one can
// be read. Literals of the skipped part that the client sends without waiting
// are skipped too; a synchronising literal that was not accepted ends the
// command, because the client sends nothing before it has an answer (RFC 9051
// §4.3). If more than Limits.Discard octets would have to be skipped, the error
// is a *SyntaxError with Desync. Between commands Discard does nothing.
func (d *Decoder) Discard() error {
	if !d.open {
		return nil
	}
	// What was read of a line that is too long counts, so that it makes no difference how
	// much that was.
	budget := d.Limits.Discard - int64(d.over)
	if budget < 0 {
		return errSkip
	}
	tail := tailOf(d.seg)
	if d.cut {
		var err error
		if tail, err = d.skipLine(d.seg, &budget); err != nil {
			return err
		}
	}
	for {
		lit := d.lit
		if d.lit = nil; lit == nil {
			size, nonSync, _, ok := literalHeader(tail)
			if !ok {
				break
			}
			lit = &Literal{left: size, coming: nonSync}
		}
		if !lit.coming {
			break
		}
		if err := d.skip(lit.left, &budget); err != nil {
			return err
		}
		var err error
		if tail, err = d.skipLine(nil, &budget); err != nil {
			return err
		}
	}
	d.close()
	return nil
}

// errSkip says that the start of the next command is too far away.
var errSkip = &SyntaxError{Msg: "too much to skip after an error", Desync: true}

// skip throws n octets away.
func (d *Decoder) skip(n int64, budget *int64) error {
	if n > *budget {
		return errSkip
	}
	*budget -= n
	for n > 0 {
		k, err := d.r.Discard(int(min(n, 1<<20)))
		n -= int64(k)
		if err != nil {
			return unexpected(err)
		}
	}
	return nil
}

// skipLine throws the rest of a line away and returns its end, of which
// before is the part that was read already.
func (d *Decoder) skipLine(before []byte, budget *int64) ([]byte, error) {
	tail := append(make([]byte, 0, 2*maxHeader), tailOf(before)...)
	for {
		line, err := d.r.ReadSlice('\n')
		if *budget -= int64(len(line)); *budget < 0 {
			return nil, errSkip
		}
		if err != nil && err != bufio.ErrBufferFull {
			return nil, unexpected(err)
		}
		tail = append(tail, tailOf(line)...)
		tail = append(tail[:0], tailOf(tail)...)
		if err == nil {
			return trimLineEnd(tail), nil
		}
	}
}

// unexpected turns the end of the stream inside a command into io.ErrUnexpectedEOF.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
