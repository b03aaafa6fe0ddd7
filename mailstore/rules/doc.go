// Package rules holds what all back ends that keep mail themselves decide
// alike, whatever their database: what a STORE makes of flags, how counts follow
// messages, which special uses there are. It is pure: values in, values out.
package rules
