package config

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"
)

// A Size is a number of bytes: "512", "64KiB", "64MiB", "10GiB", "1TiB", or
// with powers of ten "64MB". None is written "none".
type Size int64

// A Count is a number of things. None is written "none".
type Count int64

// None is the Size or Count that limits nothing.
const None = -1

// String writes n as it stands in a file.
func (n Count) String() string {
	if n < 0 {
		return "none"
	}
	return strconv.FormatInt(int64(n), 10)
}

var sizeUnits = []struct {
	suffix string
	factor int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"kB", 1e3}, {"B", 1},
}

// ParseSize reads a Size.
func ParseSize(s string) (Size, error) {
	if s == "none" {
		return None, nil
	}
	number, factor := s, int64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			number, factor = strings.TrimSpace(rest), u.factor
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is not a size", s)
	}
	if n > math.MaxInt64/factor {
		return 0, fmt.Errorf("%q is too large a size", s)
	}
	return Size(n * factor), nil
}

// String writes s in the largest binary unit that divides it, as ParseSize
// reads it.
func (s Size) String() string {
	if s < 0 {
		return "none"
	}
	for _, u := range sizeUnits[:4] {
		if int64(s) >= u.factor && int64(s)%u.factor == 0 {
			return strconv.FormatInt(int64(s)/u.factor, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// ParseDuration reads a duration in Go's notation ("1m30s", "20ms") or in
// days ("30d").
func ParseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 15)
		if err != nil {
			return 0, fmt.Errorf("%q is not a duration", s)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration", s)
	}
	return d, nil
}

// formatDuration writes d as ParseDuration reads it, without needless zeros.
func formatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// maxFileValue bounds what a "file:" value may hold, in bytes.
const maxFileValue = 64 << 10

// fetch returns what a string value stands for: itself, or for "env:NAME" and
// "file:PATH" what is there. away says that it came from elsewhere.
func fetch(s string) (value string, away bool, err error) {
	if name, ok := strings.CutPrefix(s, "env:"); ok {
		v, ok := os.LookupEnv(name)
		if !ok {
			return "", true, fmt.Errorf("the environment has no variable %s", name)
		}
		return v, true, nil
	}
	if path, ok := strings.CutPrefix(s, "file:"); ok {
		info, err := os.Stat(path)
		if err != nil {
			return "", true, err
		}
		if info.Size() > maxFileValue {
			return "", true, fmt.Errorf("%s is larger than %v", path, Size(maxFileValue))
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return "", true, err
		}
		return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), true, nil
	}
	return s, false, nil
}
