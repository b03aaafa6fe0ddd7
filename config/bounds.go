package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// bounds reports a value that its field's tag does not allow.
func (d *decoder) bounds(path string, v reflect.Value, tag reflect.StructTag) {
	ok := true
	switch x := v.Interface().(type) {
	case string:
		if choice := tag.Get("oneof"); choice != "" {
			ok = slices.Contains(strings.Fields(choice), x)
		}
	case int:
		ok = within(int64(x), tag, func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) })
	case Size:
		ok = x >= 0 && within(x, tag, ParseSize) || x == None && tag.Get("none") != ""
	case time.Duration:
		ok = within(x, tag, ParseDuration)
	}
	if !ok {
		d.fault(path, "%s; allowed: %s", show(v), allowed(v.Type(), tag))
	}
}

// within reports whether x lies within the tag's min and max; a bound that
// does not parse allows nothing, so that a test of the defaults finds it.
func within[T int64 | Size | time.Duration](x T, tag reflect.StructTag, parse func(string) (T, error)) bool {
	if s, ok := tag.Lookup("min"); ok {
		if low, err := parse(s); err != nil || x < low {
			return false
		}
	}
	if s, ok := tag.Lookup("max"); ok {
		if high, err := parse(s); err != nil || x > high {
			return false
		}
	}
	return true
}

// allowed says in words what a field takes.
func allowed(t reflect.Type, tag reflect.StructTag) string {
	var what string
	switch t {
	case reflect.TypeFor[Size]():
		what = `a size such as "64MiB" or 512`
	case reflect.TypeFor[Count]():
		what = "a whole number from 0"
	case reflect.TypeFor[time.Duration]():
		what = `a duration such as "30s", "20ms" or "7d"`
	case reflect.TypeFor[netip.Prefix]():
		return `an address range such as "10.0.0.0/8"`
	default:
		switch t.Kind() {
		case reflect.Int:
			what = "a whole number"
		case reflect.Bool:
			return "true or false"
		case reflect.String:
			if choice := tag.Get("oneof"); choice != "" {
				return strings.Join(strings.Fields(choice), ", ")
			}
			return "a string"
		default:
			return "tables"
		}
	}
	if tag.Get("none") != "" {
		what += ` or "none"`
	}
	low, hasLow := tag.Lookup("min")
	high, hasHigh := tag.Lookup("max")
	switch {
	case hasLow && hasHigh:
		return fmt.Sprintf("%s, from %s to %s", what, low, high)
	case hasLow:
		return fmt.Sprintf("%s, at least %s", what, low)
	}
	return what
}

// show writes a value as it stands in a file.
func show(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case Size:
		return strconv.Quote(x.String())
	case time.Duration:
		return strconv.Quote(formatDuration(x))
	case string:
		return strconv.Quote(x)
	case fmt.Stringer:
		return strconv.Quote(x.String())
	default:
		return fmt.Sprint(x)
	}
}
