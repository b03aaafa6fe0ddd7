package main

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// watcher is one idle session that notes when each operation reached it.
// Operation i is told from the response alone:
//   - append: "* n EXISTS" says that operations up to n-base are in, base being
//     what the mailbox held before;
//   - expunge: the i-th EXPUNGE is operation i (each removes one message);
//   - store: operation i turns \Flagged of message i%box+1 on or off, in turn.
type watcher struct {
	c    *conn
	got  []time.Time
	next int
}

// run is what all watchers of one measurement have in common.
type run struct {
	op     string
	base   int // messages in the mailbox before the first operation
	box    int // messages that operations go round, for store
	issued atomic.Int64
	marks  atomic.Int64
	early  atomic.Int64 // responses that no operation so far explains
	sent   []time.Time
	oked   []time.Time
}

// flagOn says which way operation i sets \Flagged.
func (r *run) flagOn(i int) bool { return i/r.box%2 == 0 }

func (r *run) mark(w *watcher, i int, now time.Time) {
	if w.got[i].IsZero() {
		w.got[i] = now
		r.marks.Add(1)
	}
}

// watch reads until the connection is closed.
func (r *run) watch(w *watcher) {
	for {
		line, err := w.c.read()
		if err != nil {
			return // closed at the end, or by the server: then ops are missed
		}
		now := time.Now()
		n, what := numbered(line)
		issued := int(r.issued.Load())
		switch {
		case r.op == "append" && what == "EXISTS":
			if n-r.base > issued {
				r.early.Add(1)
			}
			for ; w.next < min(n-r.base, issued); w.next++ {
				r.mark(w, w.next, now)
			}
		case r.op == "expunge" && what == "EXPUNGE":
			if w.next >= issued {
				r.early.Add(1)
				continue
			}
			r.mark(w, w.next, now)
			w.next++
		case r.op == "store" && what == "FETCH":
			on := bytes.Contains(line, []byte(`\Flagged`))
			for i := n - 1; i >= 0 && i < issued; i += r.box {
				if r.flagOn(i) == on {
					r.mark(w, i, now)
				}
			}
		}
	}
}

// notify runs ops operations, one each o.every, with o.n watchers.
func notify(o *options, ops int) (*run, []*watcher, error) {
	r := &run{op: o.op, sent: make([]time.Time, ops), oked: make([]time.Time, ops)}
	writer, err := o.open(0, o.addrs[0])
	if err != nil {
		return nil, nil, fmt.Errorf("writer: %w", err)
	}
	defer writer.close()
	writer.ensureBox(o.mailbox)
	have, err := writer.selectBox(o.mailbox)
	if err != nil {
		return nil, nil, fmt.Errorf("writer: %w", err)
	}
	need := map[string]int{"append": 0, "store": max(o.fill, 1), "expunge": ops}[o.op]
	for ; have < need; have++ {
		if err := writer.append(o.mailbox, message(have, o.size)); err != nil {
			return nil, nil, fmt.Errorf("fill: %w", err)
		}
	}
	if have, err = writer.selectBox(o.mailbox); err != nil {
		return nil, nil, err
	}
	r.base, r.box = have, max(need, 1)
	if o.closed && o.op == "append" {
		if err := writer.cmd("UNSELECT", nil); err != nil {
			return nil, nil, fmt.Errorf("writer: %w", err)
		}
	}
	if o.op == "store" {
		if err := writer.cmd(`STORE 1:* -FLAGS.SILENT (\Flagged)`, nil); err != nil {
			return nil, nil, err
		}
	}
	if o.op == "expunge" { // only what an operation marks may be removed
		if err := writer.cmd(`STORE 1:* -FLAGS.SILENT (\Deleted)`, nil); err != nil {
			return nil, nil, err
		}
	}

	// The watchers go to the other nodes, where others are given.
	addrs := o.addrs
	if len(addrs) > 1 && o.cmd == "latency" {
		addrs = addrs[1:]
	}
	ws := make([]*watcher, o.n)
	failed, err := parallel(o.n, o.conc, func(i int) error {
		w := &watcher{got: make([]time.Time, ops)}
		var err error
		// All are one user: pass an index that keeps the user the same.
		if w.c, err = o.open(i*o.users, addrs[i%len(addrs)]); err != nil {
			return err
		}
		if _, err = w.c.selectBox(o.mailbox); err == nil {
			err = w.c.idle()
		}
		ws[i] = w
		return err
	})
	defer func() {
		for _, w := range ws {
			if w != nil {
				w.c.close()
			}
		}
	}()
	if failed > 0 {
		return nil, nil, fmt.Errorf("%d of %d watchers failed: %w", failed, o.n, err)
	}
	var wg sync.WaitGroup
	for _, w := range ws {
		w.c.nc.SetDeadline(time.Time{})
		wg.Go(func() { r.watch(w) })
	}
	time.Sleep(o.settle)

	next := time.Now()
	for i := range ops {
		time.Sleep(time.Until(next))
		next = next.Add(o.every)
		if now := time.Now(); next.Before(now) {
			next = now
		}
		r.issued.Store(int64(i + 1))
		switch o.op {
		case "append":
			msg := message(i, o.size)
			r.sent[i] = time.Now()
			err = writer.append(o.mailbox, msg)
		case "store":
			sign := "-"
			if r.flagOn(i) {
				sign = "+"
			}
			r.sent[i] = time.Now()
			err = writer.cmd(fmt.Sprintf(`STORE %d %sFLAGS (\Flagged)`, i%r.box+1, sign), nil)
		case "expunge":
			if err = writer.cmd(`STORE 1 +FLAGS.SILENT (\Deleted)`, nil); err == nil {
				r.sent[i] = time.Now()
				err = writer.cmd("EXPUNGE", nil)
			}
		}
		r.oked[i] = time.Now()
		if err != nil {
			return nil, nil, fmt.Errorf("writer: operation %d: %w", i, err)
		}
	}
	for end := time.Now().Add(o.grace); r.marks.Load() < int64(ops*o.n) && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	for _, w := range ws {
		w.c.close()
	}
	wg.Wait()
	return r, ws, nil
}

func runLatency(o *options) (*report, error) {
	ops := max(1, int(o.dur/o.every))
	r, ws, err := notify(o, ops)
	if err != nil {
		return nil, err
	}
	var fromSent, fromOK, opTime []float64
	missed := 0
	for i := range ops {
		opTime = append(opTime, ms(r.oked[i].Sub(r.sent[i])))
		for _, w := range ws {
			if w.got[i].IsZero() {
				missed++
				continue
			}
			fromSent = append(fromSent, ms(w.got[i].Sub(r.sent[i])))
			fromOK = append(fromOK, ms(w.got[i].Sub(r.oked[i])))
		}
	}
	rep := newReport("latency "+o.op, o)
	rep.add("listeners", o.n)
	rep.add("ops", ops)
	rep.add("every_ms", ms(o.every))
	rep.add("received", len(fromSent))
	rep.add("missed", missed)
	rep.add("unexplained", r.early.Load())
	rep.quantiles("from_ok_ms", fromOK) // below zero: told before the writer was
	rep.quantiles("from_sent_ms", fromSent)
	rep.quantiles("op_ms", opTime)
	return rep, nil
}

func runFanout(o *options) (*report, error) {
	r, ws, err := notify(o, o.rounds)
	if err != nil {
		return nil, err
	}
	var first, median, last, op []float64
	missed := 0
	for i := range o.rounds {
		var d []float64
		for _, w := range ws {
			if w.got[i].IsZero() {
				missed++
			} else {
				d = append(d, ms(w.got[i].Sub(r.sent[i])))
			}
		}
		if len(d) > 0 {
			first = append(first, quantile(d, 0))
			median = append(median, quantile(d, 0.5))
			last = append(last, quantile(d, 1))
		}
		op = append(op, ms(r.oked[i].Sub(r.sent[i])))
	}
	rep := newReport("fanout", o)
	rep.add("listeners", o.n)
	rep.add("rounds", o.rounds)
	rep.add("missed", missed)
	rep.add("unexplained", r.early.Load())
	// Medians over the rounds, counted from the sending of the APPEND.
	rep.add("append_ok_ms", quantile(op, 0.5))
	rep.add("first_ms", quantile(first, 0.5))
	rep.add("median_ms", quantile(median, 0.5))
	rep.add("last_ms", quantile(last, 0.5))
	rep.add("worst_last_ms", quantile(last, 1))
	return rep, nil
}
