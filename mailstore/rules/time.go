package rules

import "time"

// Time makes a time of Unix seconds and seconds east of UTC.
func Time(unix, zone int64) time.Time {
	if zone == 0 {
		return time.Unix(unix, 0).UTC()
	}
	return time.Unix(unix, 0).In(time.FixedZone("", int(zone)))
}
