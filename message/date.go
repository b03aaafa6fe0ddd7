package message

import (
	"strconv"
	"strings"
	"time"
)

// Bounds of the dates that are kept: years 1900 (RFC 5322 §3.3) to 9999, zones less than a day.
const (
	minUnix = -2208988800
	maxUnix = 253402300799
	maxZone = 24 * 60 * 60
)

// zone returns the time zone that is offset seconds east of UTC.
func zone(offset int) *time.Location {
	if offset == 0 {
		return time.UTC
	}
	return time.FixedZone("", offset)
}

// parseDate reads a Date field (RFC 5322 §3.3 and §4.3) or asctime's form, in whatever order the pieces stand. It returns the
// zero time when there is no day to be had; a missing time is midnight, a missing zone UTC.
func parseDate(s string) time.Time {
	var day, year, offset, sec int
	var month time.Month
	rest := s
	for rest != "" {
		var word string
		word, rest = dateWord(rest)
		if word == "" {
			continue
		}
		switch c := word[0]; {
		case strings.Contains(word, ":"):
			sec = clock(word)
		case c == '+' || c == '-':
			offset = numericZone(word)
		case '0' <= c && c <= '9':
			n, err := strconv.Atoi(word)
			switch {
			case err != nil:
			case day == 0 && len(word) <= 2:
				day = n
			case year == 0:
				year = n
				if len(word) == 2 && n < 50 { // RFC 5322 §4.3
					year += 2000
				} else if len(word) <= 3 {
					year += 1900
				}
			}
		default:
			if m := monthNamed(word); m != 0 && month == 0 {
				month = m
			} else if o, ok := namedZone(word); ok {
				offset = o
			}
		}
	}
	if day < 1 || day > 31 || month == 0 || year < 1900 || year > 9999 || sec < 0 {
		return time.Time{}
	}
	t := time.Date(year, month, day, 0, 0, sec, 0, time.UTC).Add(-time.Duration(offset) * time.Second)
	if t.Unix() < minUnix || t.Unix() > maxUnix {
		return time.Time{}
	}
	return t.In(zone(offset))
}

// dateWord takes the next word off s, skipping comments. A date like 2-Jan-2006 is three words.
func dateWord(s string) (word, rest string) {
	s = strings.TrimLeft(s, " \t,")
	if s == "" {
		return "", ""
	}
	if s[0] == '(' {
		_, after, _ := strings.Cut(s, ")")
		return "", after
	}
	end := 1
	for end < len(s) && !strings.ContainsRune(" \t,(", rune(s[end])) && (s[end] != '-' || !isAlnum(s[end-1])) {
		end++
	}
	if end < len(s) && s[end] == '-' && end+1 < len(s) && !strings.Contains(s[:end], ":") {
		return s[:end], s[end+1:]
	}
	return s[:end], s[end:]
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// clock returns the seconds of hh:mm or hh:mm:ss, -1 when it is none.
func clock(s string) int {
	total, parts := 0, strings.Split(s, ":")
	if len(parts) > 3 {
		return -1
	}
	limits, units := [3]int{23, 59, 60}, [3]int{3600, 60, 1}
	for i, part := range parts {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 || n > limits[i] {
			return -1
		}
		total += n * units[i]
	}
	return total
}

// numericZone returns the seconds of +hhmm, 0 when it is none.
func numericZone(s string) int {
	n, err := strconv.Atoi(s[1:])
	if err != nil || n < 0 || n > 2359 || n%100 > 59 {
		return 0
	}
	offset := n/100*3600 + n%100*60
	if s[0] == '-' {
		return -offset
	}
	return offset
}

// namedZone returns the seconds of the zones that RFC 5322 §4.3 gives names to.
func namedZone(s string) (int, bool) {
	const hour = 3600
	switch strings.ToUpper(s) {
	case "UT", "GMT", "UTC", "Z":
		return 0, true
	case "EDT":
		return -4 * hour, true
	case "EST", "CDT":
		return -5 * hour, true
	case "CST", "MDT":
		return -6 * hour, true
	case "MST", "PDT":
		return -7 * hour, true
	case "PST":
		return -8 * hour, true
	}
	return 0, false
}

func monthNamed(s string) time.Month {
	if len(s) < 3 {
		return 0
	}
	i := strings.Index("janfebmaraprmayjunjulaugsepoctnovdec", strings.ToLower(s[:3]))
	if i < 0 || i%3 != 0 {
		return 0
	}
	return time.Month(i/3 + 1)
}
