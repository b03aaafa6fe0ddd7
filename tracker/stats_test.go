package tracker

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starling-mail/starling/mailbox"
)

// TestStats: a gap, the repair that closes it, a comparison and a failure are counted, each
// as what it is.
func TestStats(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.store.add(5, 0)
		c := openClient(t, w.set, w.store)
		want := Stats{Trackers: 1, Views: 1, Loads: 1}
		check := func(what string) {
			t.Helper()
			got := w.set.Stats()
			got.Bytes = 0
			if got != want {
				t.Fatalf("after %s: %+v, want %+v", what, got, want)
			}
		}
		check("opening")

		w.network = nil
		w.store.expunge(2)
		w.store.add(1, 0)
		w.deliver(1)
		want.Gaps = 1
		check("a gap")
		time.Sleep(time.Second)
		synctest.Wait()
		want.Repairs = 1
		check("its repair")

		w.store.expunge(3)
		w.store.trim() // the log of expunges is too short now
		w.set.trackers[w.store.box].lost()
		time.Sleep(time.Second)
		synctest.Wait()
		want.Lost, want.Repairs, want.Resyncs = 1, 2, 1
		check("a loss and a comparison")

		w.store.fail(&mailbox.Error{Kind: mailbox.Unavailable, Op: "read", Err: errors.New("away")})
		w.set.trackers[w.store.box].lost()
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		want.Lost, want.Repairs, want.Failed = 2, 3, 1
		check("a failure")
		w.store.fail(nil)
		time.Sleep(time.Minute)
		synctest.Wait()

		c.view.Close()
		if s := w.set.Stats(); s.Views != 0 || s.Trackers != 1 || s.Bytes == 0 {
			t.Errorf("when nobody watches: %+v", s)
		}
	})
}
