package cluster

import (
	"cmp"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/hashicorp/memberlist"
	"github.com/rs/zerolog"
)

// A Member is a node as gossip describes it.
type Member struct {
	Name     string
	Instance uint64         // random for each process
	Gossip   netip.AddrPort // where it gossips
	Stream   string         // where it takes streams, host:port; empty: it takes none
	Version  string
	Codecs   []string // that it reads
	Draining bool     // it is about to leave: it takes no new clients
	Self     bool     // it is this node

	meta meta
}

// members is what gossip has told. It implements memberlist.EventDelegate and ConflictDelegate: memberlist calls those with its own lock
// held, so nothing here waits or calls it. What it gives is copied.
type members struct {
	self    string
	log     zerolog.Logger
	changed chan struct{} // has an item after each change

	mu        sync.Mutex
	byName    map[string]Member
	malformed uint64 // metadata that were not understood
	conflicts uint64 // other nodes seen that use a member's name
}

func newMembers(self string, log zerolog.Logger) *members {
	return &members{self: self, log: log, changed: make(chan struct{}, 1), byName: make(map[string]Member)}
}

// NotifyJoin implements memberlist.EventDelegate.
func (m *members) NotifyJoin(n *memberlist.Node) { m.set(n) }

// NotifyUpdate implements memberlist.EventDelegate.
func (m *members) NotifyUpdate(n *memberlist.Node) { m.set(n) }

// NotifyLeave implements memberlist.EventDelegate.
func (m *members) NotifyLeave(n *memberlist.Node) {
	m.mu.Lock()
	delete(m.byName, n.Name)
	m.mu.Unlock()
	m.signal()
}

// NotifyConflict implements memberlist.ConflictDelegate.
func (m *members) NotifyConflict(existing, other *memberlist.Node) {
	m.mu.Lock()
	m.conflicts++
	m.mu.Unlock()
	m.log.Error().Str("node", existing.Name).Str("address", existing.Address()).Str("other", other.Address()).Msg("two nodes have one name")
}

func (m *members) set(n *memberlist.Node) {
	member, err := describe(n)
	member.Self = n.Name == m.self
	m.mu.Lock()
	if err != nil {
		m.malformed++
		delete(m.byName, n.Name)
	} else {
		m.byName[n.Name] = member
	}
	m.mu.Unlock()
	if err != nil {
		m.log.Warn().Err(err).Str("node", n.Name).Msg("member is not used")
	}
	m.signal()
}

// describe copies what memberlist knows about a node.
func describe(n *memberlist.Node) (Member, error) {
	if err := CheckName(n.Name); err != nil {
		return Member{}, err
	}
	about, err := parseMeta(n.Meta)
	if err != nil {
		return Member{}, err
	}
	ip, ok := netip.AddrFromSlice(n.Addr)
	if !ok {
		return Member{}, errMeta
	}
	ip = ip.Unmap()
	member := Member{
		Name: n.Name, Instance: about.instance, Gossip: netip.AddrPortFrom(ip, n.Port), Version: about.version, Draining: about.draining, meta: about,
	}
	if about.stream != "" {
		host, port, err := net.SplitHostPort(about.stream)
		if err != nil {
			return Member{}, errMeta
		}
		if a, err := netip.ParseAddr(host); host == "" || err == nil && a.IsUnspecified() {
			host = ip.String()
		}
		member.Stream = net.JoinHostPort(host, port)
	}
	for _, c := range about.codecs {
		member.Codecs = append(member.Codecs, c.String())
	}
	return member, nil
}

func (m *members) signal() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// all returns the members, sorted by name.
func (m *members) all() []Member {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Values(m.byName), func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
}
