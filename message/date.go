package message

import "time"

// Bounds of the dates that are kept: years 1 to 9999, zones less than a day.
const (
	minUnix = -62135596800
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
