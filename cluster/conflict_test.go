package cluster

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// TestTwoOfOneName: two processes of one name, which take each other's place at a third, do not do that without a pause.
func TestTwoOfOneName(t *testing.T) {
	all := startAll(t, 2, 1<<10, nil)
	other := start(t, Options{Name: "n2", Keys: all[0].o.Keys, Join: []string{all[0].GossipAddress().String()}}, 1<<10)
	await(t, "a conflict", func() bool { return other.Stats().Conflicts > 0 })
	began := time.Now()
	connects := func() (n uint64) {
		for _, m := range []*member{all[1], other} {
			for _, p := range m.Stats().Peers {
				n += p.Connects
			}
		}
		return n
	}
	await(t, "they fight", func() bool { return connects() >= 16 })
	// Each wait is twice the one before, half of it by chance: eight of one node take twice this at least.
	if took := time.Since(began); took < 600*time.Millisecond {
		t.Errorf("16 streams in %v", took)
	}

	all[1].stop()
	awaitStreams(t, all[0], other)
}

// A joins is a Network that only notes who is joined.
type joins struct {
	Network
	at []netip.AddrPort
}

func (j *joins) Join(at netip.AddrPort) error {
	j.at = append(j.at, at)
	return nil
}

// TestJoinAfterConflict: members are not joined again, unless another node was seen with this one's name a short time ago: then nobody but
// this node may know that it is there.
func TestJoinAfterConflict(t *testing.T) { synctest.Test(t, joinAfterConflict) }

func joinAfterConflict(t *testing.T) {
	self, one, two := netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.2:1"), netip.MustParseAddrPort("127.0.0.3:1")
	net := &joins{}
	n := &Node{network: net, members: newMembers("self", zerolog.Nop()), log: zerolog.Nop()}
	n.o.Join = []string{self.String(), one.String(), two.String()}
	about := (&meta{}).append(nil)
	n.members.present("self", self, about)
	n.members.present("one", one, about)
	joined := func(want ...netip.AddrPort) {
		t.Helper()
		net.at = nil
		n.joinMissing(t.Context())
		if !slices.Equal(net.at, want) {
			t.Errorf("joined %v, want %v", net.at, want)
		}
	}
	joined(two)
	n.members.conflict("one", one, two)
	joined(two)
	n.members.conflict("self", self, two)
	joined(one, two)
	time.Sleep(shadow - time.Nanosecond)
	joined(one, two)
	time.Sleep(time.Nanosecond)
	joined(two)
}
