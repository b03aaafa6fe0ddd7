//go:build race

package clustertest

// With the race detector a seed takes ten times as long.
const raced = true
