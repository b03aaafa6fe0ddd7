package probe

import (
	"context"
	"time"

	"github.com/emersion/go-imap"
)

// An exchange is three changes on one node that another tells of: a message is
// appended, flagged and expunged.
type exchange struct {
	p        *prober
	from, to *conn
	mail     probeMail
}

// run makes the changes. After one that was not told, the rest is done without
// waiting, and the waiting node starts afresh.
func (x *exchange) run(ctx context.Context) error {
	told, err := x.appended(ctx)
	if err != nil {
		return err
	}
	uid, err := x.from.uid(x.mail)
	if err != nil {
		return err
	}
	if told {
		told, err = x.change(ctx, Flag, func() error { return x.from.addFlag(uid, imap.FlaggedFlag) })
		if err != nil {
			return err
		}
	}
	if err := x.from.addFlag(uid, imap.DeletedFlag); err != nil {
		return err
	}
	if told {
		if told, err = x.change(ctx, Expunge, x.from.expunge); told || err != nil {
			return err
		}
	} else if err := x.from.expunge(); err != nil {
		return err
	}
	return x.to.selectBox(x.p.box)
}

// appended appends the message and waits for it: an EXISTS, after which the
// message is there.
func (x *exchange) appended(ctx context.Context) (bool, error) {
	text := x.mail.text(x.from.node.Name, x.to.node.Name)
	sent, at, err := x.await(ctx, Append, time.Time{}, func() error { return x.from.append(x.p.box, text) })
	for err == nil && !at.IsZero() {
		x.to.view.forget(Append) // what comes while we search says: search again
		var number uint32
		if number, err = x.to.search(x.mail, false); err != nil {
			break
		}
		if number > 0 {
			x.to.view.follow(number)
			break
		}
		_, at, err = x.await(ctx, Append, sent, nil)
	}
	if err != nil {
		return false, err
	}
	return x.note(Append, sent, at), nil
}

// change makes a change of the message that the waiting node follows.
func (x *exchange) change(ctx context.Context, k Kind, do func() error) (bool, error) {
	sent, at, err := x.await(ctx, k, time.Time{}, do)
	if err != nil {
		return false, err
	}
	return x.note(k, sent, at), nil
}

// await waits until one node tells of k, which do causes on the other. sent is
// when that was; do is nil if it was before. A zero at says that it was not told.
func (x *exchange) await(ctx context.Context, k Kind, sent time.Time, do func() error) (_, at time.Time, err error) {
	if do != nil {
		if err := x.to.noop(); err != nil { // it tells what it had to tell before
			return sent, at, err
		}
	}
	w, err := x.to.wait()
	if err != nil {
		return sent, at, err
	}
	if do != nil {
		x.to.view.forget(k)
		sent = time.Now()
		err = do()
	}
	if err == nil {
		at, err = w.until(ctx, k, sent.Add(x.p.o.Wait))
	}
	if ended := w.end(); err == nil {
		err = ended
	}
	return sent, at, err
}

// note adds the sample and reports whether the change was told.
func (x *exchange) note(k Kind, sent, at time.Time) bool {
	s := Sample{From: x.from.node.Name, To: x.to.node.Name, Kind: k, At: sent, Latency: at.Sub(sent)}
	switch {
	case at.IsZero():
		s.Outcome, s.Latency = Missing, x.p.o.Wait
	case s.Latency > x.p.o.MaxLatency:
		s.Outcome = Late
	}
	x.p.add(s)
	return s.Outcome != Missing
}
