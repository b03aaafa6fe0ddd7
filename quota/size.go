package quota

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/starling-mail/starling/mailbox"
)

// units are the suffixes of sizes, each 1024 times the one before.
const units = "KMGTPE"

// ParseSize reads a number of bytes: digits, perhaps with a fraction, and
// perhaps one of K, M, G, T, P, E for powers of 1024, whatever its case, which may be
// followed by B or iB ("10000", "1G", "1.5 GiB"). Errors are of kind Cannot.
func ParseSize(s string) (int64, error) {
	number, exponent := cutUnit(strings.ToUpper(strings.TrimSpace(s)))
	if exponent == 0 || !strings.Contains(number, ".") {
		n, err := parseCount(number)
		if err != nil || n > math.MaxInt64>>(10*exponent) {
			return 0, badSize(s)
		}
		return n << (10 * exponent), nil
	}
	if strings.Trim(number, "0123456789.") != "" || len(number) > 20 {
		return 0, badSize(s)
	}
	f, err := strconv.ParseFloat(number, 64)
	f *= math.Pow(1024, float64(exponent))
	if err != nil || f >= math.MaxInt64 {
		return 0, badSize(s)
	}
	return int64(f), nil
}

// cutUnit returns the number before a unit and the power of 1024.
func cutUnit(s string) (number string, exponent int) {
	s = strings.TrimSuffix(s, "B")
	if prefix, ok := strings.CutSuffix(s, "I"); ok && prefix != "" && strings.ContainsAny(prefix[len(prefix)-1:], units) {
		s = prefix
	}
	if s != "" {
		if i := strings.IndexByte(units, s[len(s)-1]); i >= 0 {
			return strings.TrimSpace(s[:len(s)-1]), i + 1
		}
	}
	return strings.TrimSpace(s), 0
}

func parseCount(s string) (int64, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, badSize(s)
	}
	return strconv.ParseInt(s, 10, 64)
}

func badSize(s string) error {
	if len(s) > 40 {
		s = s[:40]
	}
	return &mailbox.Error{Kind: mailbox.Cannot, Op: "quota", Text: fmt.Sprintf("%q is no size; write it like 10000, 500M or 2G", s)}
}

// FormatSize writes a number of bytes for people: whole below 1 KiB, otherwise
// in the largest unit that fits, with at most two digits after the point ("1.5G").
func FormatSize(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10)
	}
	f, exponent := float64(n), 0
	for ; f >= 1024 && exponent < len(units); exponent++ {
		f /= 1024
	}
	s := strconv.FormatFloat(f, 'f', 2, 64)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".") + units[exponent-1:exponent]
}

// none is how the absence of a limit is written.
const none = "none"

// ParseLimits reads limits as they stand in the configuration and on the
// command line: a size and a number of messages, each empty or "none" where there is no limit.
func ParseLimits(storage, messages string) (mailbox.QuotaLimits, error) {
	l := mailbox.Unlimited
	var err error
	if s := strings.TrimSpace(storage); s != "" && !strings.EqualFold(s, none) {
		if l.Storage, err = ParseSize(s); err != nil {
			return mailbox.Unlimited, err
		}
	}
	if s := strings.TrimSpace(messages); s != "" && !strings.EqualFold(s, none) {
		if l.Messages, err = parseCount(s); err != nil {
			return mailbox.Unlimited, &mailbox.Error{Kind: mailbox.Cannot, Op: "quota",
				Text: "a limit of messages is a whole number, or none"}
		}
	}
	return l, nil
}

// FormatLimits writes limits so that ParseLimits reads the same again.
func FormatLimits(l mailbox.QuotaLimits) (storage, messages string) {
	storage, messages = none, none
	if l.Storage >= 0 {
		storage = FormatSize(l.Storage)
		if n, err := ParseSize(storage); err != nil || n != l.Storage {
			storage = strconv.FormatInt(l.Storage, 10) // no round number
		}
	}
	if l.Messages >= 0 {
		messages = strconv.FormatInt(l.Messages, 10)
	}
	return storage, messages
}
