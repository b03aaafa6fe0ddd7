package config

import (
	"fmt"
	"strings"
)

// A Fault is one thing that is wrong with a configuration.
type Fault struct {
	File    string // as given to Load; may be empty
	Line    int    // from 1; 0 where no line is at fault
	Key     string // such as "listen[1].protocol"; empty for a fault of syntax
	Problem string // what is wrong and what is allowed
}

// String returns "file:line: key: problem", less the parts that are not known.
func (f Fault) String() string {
	var b strings.Builder
	switch {
	case f.File != "" && f.Line > 0:
		fmt.Fprintf(&b, "%s:%d: ", f.File, f.Line)
	case f.File != "":
		fmt.Fprintf(&b, "%s: ", f.File)
	case f.Line > 0:
		fmt.Fprintf(&b, "line %d: ", f.Line)
	}
	if f.Key != "" {
		b.WriteString(f.Key + ": ")
	}
	return b.String() + f.Problem
}

// Faults are all faults of one configuration, in the order of their lines.
type Faults []Fault

// Error returns the faults, one a line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}
