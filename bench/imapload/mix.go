package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// worker is one connection that does its operation again and again.
type worker struct {
	c       *conn
	rnd     *rand.Rand
	uids    []string  // of the selected mailbox, for fetchbody and store
	lat     []float64 // ms
	bytes   int64
	answers int64 // untagged FETCH responses, or search hits
	err     error
}

// mixOps are the operations on an open connection; login is none of them.
var mixOps = map[string]func(o *options, w *worker) error{
	"select": func(o *options, w *worker) error {
		_, err := w.c.selectBox(o.mailbox)
		return err
	},
	"fetchflags": func(_ *options, w *worker) error { return w.c.cmd("FETCH 1:* (UID FLAGS)", w.count) },
	"fetchenv":   func(_ *options, w *worker) error { return w.c.cmd("FETCH 1:* (ENVELOPE)", w.count) },
	"fetchbody": func(_ *options, w *worker) error {
		return w.c.cmd("UID FETCH "+w.anyUID()+" (BODY.PEEK[])", w.count)
	},
	"store": func(_ *options, w *worker) error {
		return w.c.cmd("UID STORE "+w.anyUID()+" "+string("+-"[w.rnd.Intn(2)])+`FLAGS (\Flagged)`, w.count)
	},
	"append": func(o *options, w *worker) error {
		return w.c.append(o.mailbox, message(w.rnd.Intn(1e6), o.size))
	},
	"search": func(_ *options, w *worker) error {
		return w.c.cmd("UID SEARCH TEXT "+rareWord, func(line []byte) {
			if bytes.HasPrefix(line, []byte("* SEARCH")) {
				w.answers += int64(len(bytes.Fields(line)) - 2)
			}
		})
	},
	"noop": func(_ *options, w *worker) error { return w.c.cmd("NOOP", nil) },
}

// count counts the FETCH responses.
func (w *worker) count(line []byte) {
	if bytes.Contains(line[:min(len(line), 24)], []byte(" FETCH ")) {
		w.answers++
	}
}

func (w *worker) anyUID() string { return w.uids[w.rnd.Intn(len(w.uids))] }

// prepare connects worker i and opens the mailbox as its operation needs it.
func (w *worker) prepare(o *options, i int) (err error) {
	if w.c, err = o.open(i, o.addrs[i%len(o.addrs)]); err != nil {
		return err
	}
	if o.op == "append" {
		return nil // measured without the mailbox open
	}
	if _, err := w.c.selectBox(o.mailbox); err != nil {
		return err
	}
	if o.op == "fetchbody" || o.op == "store" {
		if w.uids, err = uids(w.c); err == nil && len(w.uids) == 0 {
			err = errors.New("mailbox is empty: use -fill")
		}
	}
	return err
}

// uids lists the UIDs of the selected mailbox.
func uids(c *conn) ([]string, error) {
	var list []string
	err := c.cmd("UID SEARCH ALL", func(line []byte) {
		if rest, ok := bytes.CutPrefix(line, []byte("* SEARCH ")); ok {
			list = strings.Fields(string(rest))
		}
	})
	return list, err
}

// login is one whole connection of session n.
func (w *worker) login(o *options, n int) error {
	c, err := o.open(n, o.addrs[n%len(o.addrs)])
	if err != nil {
		return err
	}
	defer c.close()
	err = c.cmd("LOGOUT", nil)
	w.bytes += c.in + c.out
	c.park()
	return err
}

// work repeats the operation until end or an error, at its share of the rate. One that took too long is made up for.
func (w *worker) work(o *options, end time.Time, serial *atomic.Int64) {
	op := mixOps[o.op]
	var pause time.Duration
	if o.rate > 0 {
		pause = time.Duration(float64(o.n) / o.rate * float64(time.Second))
	}
	// Not all at once.
	for next := time.Now().Add(time.Duration(w.rnd.Int63n(int64(pause) + 1))); time.Now().Before(end); next = next.Add(pause) {
		time.Sleep(time.Until(next))
		start := time.Now()
		if o.op == "login" {
			w.err = w.login(o, int(serial.Add(1)))
		} else {
			moved := w.c.in + w.c.out
			w.err = op(o, w)
			w.bytes += w.c.in + w.c.out - moved
		}
		if w.err != nil {
			return
		}
		w.lat = append(w.lat, ms(time.Since(start)))
	}
}

func runMix(o *options) (*report, error) {
	users := min(o.users, o.n)
	if o.op == "login" {
		users = o.users
	}
	if !strings.Contains(o.user, "%d") {
		users = 1
	}
	have := 0
	if o.op != "login" && o.op != "noop" {
		var err error
		if have, err = fillBoxes(o, users); err != nil {
			return nil, fmt.Errorf("fill: %w", err)
		}
	}
	ws := make([]worker, o.n)
	for i := range ws {
		ws[i].rnd = rand.New(rand.NewSource(int64(i)))
	}
	if o.op != "login" {
		failed, err := parallel(o.n, o.conc, func(i int) error { return ws[i].prepare(o, i) })
		defer func() {
			for _, w := range ws {
				if w.c != nil {
					w.c.close()
				}
			}
		}()
		if failed > 0 {
			return nil, err
		}
	}

	var serial atomic.Int64
	cpu := cpuSeconds(o.roots)
	start := time.Now()
	var wg sync.WaitGroup
	for i := range ws {
		wg.Go(func() { ws[i].work(o, start.Add(o.dur), &serial) })
	}
	wg.Wait()
	took := time.Since(start).Seconds()
	cpu = cpuSeconds(o.roots) - cpu

	var lat []float64
	var bytes, answers int64
	var err error
	for _, w := range ws {
		lat = append(lat, w.lat...)
		bytes += w.bytes
		answers += w.answers
		if err == nil {
			err = w.err
		}
	}
	n := float64(len(lat))
	r := newReport("mix "+o.op, o)
	r.add("connections", o.n)
	r.add("users", users)
	r.add("messages", have)
	r.add("ops", len(lat))
	r.add("ops_per_s", n/took)
	r.add("mb_per_s", float64(bytes)/1e6/took)
	r.add("answers_per_op", float64(answers)/max(n, 1))
	r.quantiles("op_ms", lat)
	if len(o.roots) > 0 {
		r.add("server_cpu_ms_per_op", cpu*1000/max(n, 1))
		r.add("server_cores", cpu/took)
	}
	r.add("first_error", errText(err))
	return r, nil
}
