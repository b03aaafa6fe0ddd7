//go:build unix

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/starling-mail/starling/e2e/node"
)

// loadBoxes are the mailboxes that a load works on.
var loadBoxes = []string{"INBOX", "Archive"}

// full is about how many messages a load lets a mailbox have.
const full = 80

// A load is clients of all nodes that change the same mailboxes at once: two of each node append, flag, move and expunge what
// the ledger has, whoever sent it; one of each does what it likes by sequence number; and one of each delivers by LMTP.
type load struct {
	ledger *ledger
	stop   context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	faults []string
}

// startLoad starts a load. Connections that end are made again.
func startLoad(ctx context.Context, nodes []*node.Node, l *ledger) *load {
	w := &load{ledger: l}
	ctx, w.stop = context.WithCancel(ctx)
	for _, n := range nodes {
		for range 2 {
			w.client(ctx, n, w.keep)
		}
		w.client(ctx, n, w.tumble)
		w.wg.Go(func() {
			for ctx.Err() == nil {
				w.deliver(ctx, n.LMTP)
				pause(ctx, 50*time.Millisecond)
			}
		})
	}
	return w
}

// end ends the load and returns what went wrong, besides connections that ended.
func (w *load) end() []string {
	w.stop()
	w.wg.Wait()
	return w.faults
}

// client runs f with a connection to a node, and again with another one when that ends.
func (w *load) client(ctx context.Context, n *node.Node, f func(context.Context, *imapclient.Client) error) {
	w.wg.Go(func() {
		for ctx.Err() == nil {
			if c, err := imapclient.DialInsecure(n.IMAP, nil); err == nil {
				if err = c.Login(user, password).Wait(); err == nil {
					err = f(ctx, c)
				}
				// A NO that nothing explains is a fault; that a connection ends, or says so, is none.
				if no, ok := errors.AsType[*imap.Error](err); ok && no.Type != imap.StatusResponseTypeBye {
					w.mu.Lock()
					w.faults = append(w.faults, fmt.Sprintf("%s: %v", n.IMAP, err))
					w.mu.Unlock()
				}
				c.Close()
			}
			pause(ctx, 50*time.Millisecond)
		}
	})
}

// pause waits, but not beyond the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// keep does what the ledger keeps account of.
func (w *load) keep(ctx context.Context, c *imapclient.Client) error {
	for ctx.Err() == nil {
		i := rand.IntN(len(loadBoxes))
		box, other := loadBoxes[i], loadBoxes[1-i]
		if _, err := c.Select(box, nil).Wait(); err != nil {
			return err
		}
		for range 20 {
			var err error
			switch k := rand.IntN(10); {
			case ctx.Err() != nil:
				return nil
			case k < 3 && w.ledger.size(box) < full || k == 0:
				err = w.append(c, box)
			case k < 7:
				err = w.flag(c, box)
			case k == 7:
				err = w.move(c, box, other)
			default:
				err = w.expunge(c, box)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *load) append(c *imapclient.Client, box string) error {
	m := w.ledger.add(box)
	text := mail(m.id)
	cmd := c.Append(box, int64(len(text)), nil)
	if _, err := cmd.Write([]byte(text)); err != nil {
		return err
	}
	if err := cmd.Close(); err != nil {
		return err
	}
	data, err := cmd.Wait()
	if err != nil {
		return err
	}
	w.ledger.write(func() { m.in, m.uid = []string{box}, data.UID })
	w.ledger.done(m, "appended")
	return nil
}

// set sets or removes a flag and returns whether the server says that it did: a message that its node has not
// heard of yet it leaves alone.
func set(c *imapclient.Client, uid imap.UID, op imap.StoreFlagsOp, flag imap.Flag) (bool, error) {
	told, err := c.Store(imap.UIDSetNum(uid), &imap.StoreFlags{Op: op, Flags: []imap.Flag{flag}}, nil).Collect()
	for _, t := range told {
		if t.UID == uid {
			return true, err
		}
	}
	return false, err
}

func (w *load) flag(c *imapclient.Client, box string) error {
	m := w.ledger.take(box)
	if m == nil {
		return nil
	}
	flag := ledgerFlags[rand.IntN(len(ledgerFlags))]
	op := imap.StoreFlagsAdd
	w.ledger.write(func() {
		m.maybe[flag] = true
		if m.has[flag] {
			op = imap.StoreFlagsDel
		}
	})
	did, err := set(c, m.uid, op, flag)
	if err != nil {
		return err
	}
	w.ledger.write(func() {
		delete(m.maybe, flag)
		if did {
			m.has[flag] = op == imap.StoreFlagsAdd
		}
	})
	w.ledger.done(m, outcome(did, "flagged"))
	return nil
}

func outcome(did bool, operation string) string {
	if did {
		return operation
	}
	return "not known there yet"
}

func (w *load) move(c *imapclient.Client, box, other string) error {
	m := w.ledger.take(box)
	if m == nil {
		return nil
	}
	w.ledger.write(func() { m.in = []string{box, other} })
	data, err := c.Move(imap.UIDSetNum(m.uid), other).Wait()
	if err != nil {
		return err
	}
	dest, _ := data.DestUIDs.(imap.UIDSet)
	uids, _ := dest.Nums()
	w.ledger.write(func() {
		if len(uids) == 1 {
			m.in, m.uid = []string{other}, uids[0]
		} else {
			m.in = []string{box}
		}
	})
	w.ledger.done(m, outcome(len(uids) == 1, "moved"))
	return nil
}

func (w *load) expunge(c *imapclient.Client, box string) error {
	m := w.ledger.take(box)
	if m == nil {
		return nil
	}
	w.ledger.write(func() { m.in = []string{"", box} }) // from \Deleted on: others expunge too
	did, err := set(c, m.uid, imap.StoreFlagsAdd, imap.FlagDeleted)
	if err != nil {
		return err
	}
	if !did {
		return nil // not known there yet, or another has expunged it since it was deleted: the letter stays in doubt
	}
	if err := c.UIDExpunge(imap.UIDSetNum(m.uid)).Close(); err != nil {
		return err
	}
	w.ledger.write(func() { m.in = []string{""} })
	w.ledger.done(m, "expunged")
	return nil
}

// tumble changes a mailbox by sequence number, in what the ledger does not answer for.
func (w *load) tumble(ctx context.Context, c *imapclient.Client) error {
	for ctx.Err() == nil {
		box := loadBoxes[rand.IntN(len(loadBoxes))]
		data, err := c.Select(box, nil).Wait()
		if err != nil {
			return err
		}
		for range 10 {
			pause(ctx, 10*time.Millisecond)
			if data.NumMessages == 0 {
				break
			}
			first := 1 + rand.Uint32N(data.NumMessages)
			some := imap.SeqSet{{Start: first, Stop: first + rand.Uint32N(5)}}
			op := []imap.StoreFlagsOp{imap.StoreFlagsAdd, imap.StoreFlagsDel}[rand.IntN(2)]
			// A number beyond the end is a BAD, one of a message that is gone may be a NO.
			err = c.Store(some, &imap.StoreFlags{Op: op, Flags: []imap.Flag{imap.FlagSeen}}, nil).Close()
			if err == nil && rand.IntN(3) == 0 {
				err = c.Expunge().Close()
			}
			if _, ok := errors.AsType[*imap.Error](err); err != nil && !ok {
				return err
			}
		}
	}
	return nil
}

// deliver delivers by LMTP until the connection ends.
func (w *load) deliver(ctx context.Context, addr string) {
	c, err := dialLMTP(addr)
	if err != nil {
		return
	}
	defer c.Close()
	for ctx.Err() == nil {
		pause(ctx, 20*time.Millisecond)
		if w.ledger.size("INBOX") > full {
			continue
		}
		m := w.ledger.add("INBOX")
		if c.deliver(mail(m.id)) != nil {
			return
		}
		w.ledger.write(func() { m.in = []string{"INBOX"} })
		w.ledger.done(m, "delivered")
	}
}
