package wire

// The character classes of RFC 9051 §9.

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isAtomChar is ATOM-CHAR.
func isAtomChar(c byte) bool { return isAStringChar(c) && c != ']' }

// isAStringChar is ASTRING-CHAR.
func isAStringChar(c byte) bool {
	switch c {
	case '(', ')', '{', '%', '*', '"', '\\':
		return false
	}
	return c > ' ' && c < 0x7f
}

// isListChar is list-char: what a mailbox pattern may hold without quotes.
func isListChar(c byte) bool { return isAStringChar(c) || c == '%' || c == '*' }
