package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// results are the figures of every repetition: by row, then by column.
type results map[string]map[string][]float64

func (r results) add(row, column string, value float64) {
	if r[row] == nil {
		r[row] = map[string][]float64{}
	}
	r[row][column] = append(r[row][column], value)
}

// A table is the medians, with how the first column compares with the second.
type table struct {
	head []string
	rows [][]string
}

// tabulate makes the table. Rows without a figure, and checks that found
// nothing, are left out.
func tabulate(all []measurement, columns []string, r results) table {
	t := table{head: append([]string{"figure"}, columns...)}
	if len(columns) > 1 {
		t.head = append(t.head, columns[0]+" : "+columns[1])
	}
	for _, m := range all {
		for _, f := range m.figures {
			cells := []string{f.label}
			var medians []float64
			good := true // all checks are zero
			for _, c := range columns {
				values := r[f.label][c]
				if len(values) == 0 {
					cells = append(cells, "-")
					medians = append(medians, 0)
					continue
				}
				m := median(values)
				medians = append(medians, m)
				cells = append(cells, number(m))
				good = good && slices.Max(values) == 0
			}
			if r[f.label] == nil || f.zero && good {
				continue
			}
			if len(columns) > 1 {
				cells = append(cells, ratio(f, medians[0], medians[1]))
			}
			t.rows = append(t.rows, cells)
		}
	}
	return t
}

// ratio says how many times better a is than b. There is none for figures at
// or around zero, where a quotient says nothing.
func ratio(f figure, a, b float64) string {
	const tiny = 0.05
	if f.zero || a < tiny || b < tiny {
		return ""
	}
	if f.lower {
		a, b = b, a
	}
	return strconv.FormatFloat(a/b, 'g', 3, 64) + "x"
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	if n%2 == 1 {
		return v[n/2]
	}
	return (v[n/2-1] + v[n/2]) / 2
}

// number has three digits that count, no exponent.
func number(v float64) string {
	switch a := max(v, -v); {
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}

// text writes the table for a terminal.
func (t table) text(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{t.head}, t.rows...) {
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	return tw.Flush()
}

// markdown writes it for docs/performance.md.
func (t table) markdown(w io.Writer) error {
	var b strings.Builder
	row := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	row(t.head)
	row(append([]string{"---"}, slices.Repeat([]string{"---:"}, len(t.head)-1)...))
	for _, r := range t.rows {
		row(r)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
