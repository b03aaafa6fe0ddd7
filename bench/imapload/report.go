package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"
)

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

// quantile is the nearest-rank quantile of v, which it sorts.
func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	slices.Sort(v)
	return v[min(len(v)-1, max(0, int(math.Ceil(q*float64(len(v))))-1))]
}

func errText(errs ...error) string {
	for _, err := range errs {
		if err != nil {
			return err.Error()
		}
	}
	return ""
}

// report is an ordered list of figures.
type report struct {
	keys   []string
	values []any
}

func newReport(name string, o *options) *report {
	r := &report{}
	r.add("test", name)
	if o.label != "" {
		r.add("label", o.label)
	}
	r.add("addr", o.addrs.String())
	r.add("tls", o.tls || o.starttls)
	load, _ := os.ReadFile("/proc/loadavg")
	r.add("loadavg", strings.TrimSpace(string(load)))
	return r
}

func (r *report) add(key string, value any) {
	if x, ok := value.(float64); ok {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			value = nil
		} else {
			value = math.Round(x*1000) / 1000
		}
	}
	r.keys = append(r.keys, key)
	r.values = append(r.values, value)
}

func (r *report) quantiles(name string, v []float64) {
	for _, q := range []struct {
		name string
		q    float64
	}{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"max", 1}} {
		r.add(name+"_"+q.name, quantile(v, q.q))
	}
}

func (r *report) print(asJSON bool) {
	for i, k := range r.keys {
		fmt.Printf("%-30s %v\n", k, r.values[i])
	}
	if !asJSON {
		return
	}
	var b strings.Builder
	for i, k := range r.keys {
		v, _ := json.Marshal(r.values[i])
		fmt.Fprintf(&b, ",%q:%s", k, v)
	}
	fmt.Println("{" + b.String()[1:] + "}")
}
