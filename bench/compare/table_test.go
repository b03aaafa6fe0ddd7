package main

import (
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	all := []measurement{{figures: []figure{
		{label: "rate", key: "ops_per_s"},
		{label: "delay", key: "ms", lower: true},
		{label: "memory", key: "kib", lower: true},
		{label: "missed", key: "missed", zero: true},
		{label: "dead", key: "dead", zero: true},
		{label: "not measured", key: "x"},
	}}}
	r := results{}
	for _, v := range []float64{400, 200, 300} {
		r.add("rate", "A", v)
		r.add("rate", "B", v/2)
		r.add("delay", "A", 0.01)
		r.add("delay", "B", 500)
		r.add("memory", "A", 2.5)
		r.add("memory", "B", 10)
		r.add("missed", "A", 0)
		r.add("missed", "B", 0)
		r.add("dead", "A", 0)
		r.add("dead", "B", 3)
	}
	r.add("memory", "C", 5)
	var text strings.Builder
	if err := tabulate(all, []string{"A", "B", "C"}, r).markdown(&text); err != nil {
		t.Fatal(err)
	}
	want := `| figure | A | B | C | A : B |
| --- | ---: | ---: | ---: | ---: |
| rate | 300 | 150 | - | 2x |
| delay | 0.010 | 500 | - |  |
| memory | 2.50 | 10.0 | 5.00 | 4x |
| dead | 0.000 | 3.00 | - |  |
`
	if text.String() != want {
		t.Errorf("got\n%swant\n%s", text.String(), want)
	}
}

// TestPlan checks that no two rows are one and the same, and none is empty.
func TestPlan(t *testing.T) {
	labels := map[string]bool{}
	names := map[string]bool{}
	for _, m := range plan(sizes{idle: 10, users: 2, messages: 100, listen: 5}) {
		if names[m.name] || len(m.figures) == 0 {
			t.Errorf("measurement %s: twice, or without figures", m.name)
		}
		names[m.name] = true
		for _, f := range m.figures {
			if labels[f.label] {
				t.Errorf("two rows %q", f.label)
			}
			labels[f.label] = true
		}
	}
}
