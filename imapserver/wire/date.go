package wire

import (
	"strings"
	"time"
)

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

// Date reads a date without time, such as 1-Feb-2024, quoted or not. The
// result is midnight UTC (RFC 9051 §9, date).
func (d *Decoder) Date() (time.Time, error) {
	quoted := d.accept('"')
	day, ok := d.digits(1, 2)
	if !ok {
		return time.Time{}, syntax("malformed date")
	}
	t, ok := d.monthAndYear(day)
	if !ok || quoted && !d.accept('"') {
		return time.Time{}, syntax("malformed date")
	}
	return t, nil
}

// DateTime reads a quoted date with time and zone, such as
// " 1-Feb-2024 10:00:00 +0100" (RFC 9051 §9, date-time).
func (d *Decoder) DateTime() (time.Time, error) {
	t, ok := d.dateTime()
	if !ok {
		return time.Time{}, syntax("malformed date-time")
	}
	return t, nil
}

func (d *Decoder) dateTime() (t time.Time, ok bool) {
	if !d.accept('"') {
		return t, false
	}
	least := 2
	if d.accept(' ') {
		least = 1
	}
	day, ok := d.digits(least, least)
	if !ok {
		return t, false
	}
	date, ok := d.monthAndYear(day)
	if !ok || !d.accept(' ') {
		return t, false
	}
	hour, ok1 := d.digits(2, 2)
	colon1 := d.accept(':')
	minute, ok2 := d.digits(2, 2)
	colon2 := d.accept(':')
	second, ok3 := d.digits(2, 2)
	if !ok1 || !ok2 || !ok3 || !colon1 || !colon2 || hour > 23 || minute > 59 || second > 60 || !d.accept(' ') {
		return t, false
	}
	sign := 1
	if d.accept('-') {
		sign = -1
	} else if !d.accept('+') {
		return t, false
	}
	zh, ok1 := d.digits(2, 2)
	zm, ok2 := d.digits(2, 2)
	if !ok1 || !ok2 || zh > 23 || zm > 59 || !d.accept('"') {
		return t, false
	}
	loc := time.UTC
	if offset := sign * (zh*60 + zm) * 60; offset != 0 {
		loc = time.FixedZone("", offset)
	}
	return time.Date(date.Year(), date.Month(), date.Day(), hour, minute, second, 0, loc), true
}

// monthAndYear reads "-Feb-2024" behind a day.
func (d *Decoder) monthAndYear(day int) (t time.Time, ok bool) {
	if !d.accept('-') || len(d.seg)-d.pos < 3 {
		return t, false
	}
	name := strings.ToLower(string(d.seg[d.pos : d.pos+3]))
	i := strings.Index(strings.ToLower(months), name)
	if i < 0 || i%3 != 0 {
		return t, false
	}
	d.pos += 3
	if !d.accept('-') {
		return t, false
	}
	year, ok := d.digits(4, 4)
	if !ok {
		return t, false
	}
	t = time.Date(year, time.Month(i/3+1), day, 0, 0, 0, 0, time.UTC)
	return t, t.Day() == day // not 0-Jan or 31-Feb
}

// digits reads a number of least to most digits.
func (d *Decoder) digits(least, most int) (n int, ok bool) {
	i := 0
	for ; i < most && isDigit(d.peek()); i++ {
		n = n*10 + int(d.peek()-'0')
		d.pos++
	}
	return n, i >= least
}
