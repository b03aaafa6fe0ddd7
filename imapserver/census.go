package imapserver

import (
	"net/netip"
	"sync"

	"github.com/starling-mail/starling/mailbox"
)

// A census counts connections, so that nobody gets more than their share.
type census struct {
	mu        sync.Mutex
	all       int
	byAddress map[netip.Addr]int
	byUser    map[mailbox.AccountID]int
}

func newCensus() *census {
	return &census{byAddress: map[netip.Addr]int{}, byUser: map[mailbox.AccountID]int{}}
}

// enter counts a connection from addr and returns true, or says what limit is
// reached.
func (n *census) enter(addr netip.Addr, st *Settings) (ok bool, limit string) {
	addr = place(addr)
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.all >= st.MaxConnections:
		return false, "too many connections"
	case n.byAddress[addr] >= st.MaxPerAddress:
		return false, "too many connections from your address"
	}
	n.all++
	n.byAddress[addr]++
	return true, ""
}

// leave undoes enter.
func (n *census) leave(addr netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all--
	decrement(n.byAddress, place(addr))
}

// place returns what counts as one address: an IPv6 host has a whole /64 to choose from.
func place(addr netip.Addr) netip.Addr {
	if !addr.Is6() {
		return addr
	}
	return netip.PrefixFrom(addr, 64).Masked().Addr()
}

// login counts a connection as a user's, unless that has too many.
func (n *census) login(user mailbox.AccountID, st *Settings) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.byUser[user] >= st.MaxPerUser {
		return false
	}
	n.byUser[user]++
	return true
}

// logout undoes login.
func (n *census) logout(user mailbox.AccountID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	decrement(n.byUser, user)
}

func decrement[K comparable](m map[K]int, k K) {
	if m[k]--; m[k] == 0 {
		delete(m, k)
	}
}
