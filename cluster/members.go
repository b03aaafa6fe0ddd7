package cluster

import (
	"cmp"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// A Member is a node as gossip describes it.
type Member struct {
	Name     string
	Instance uint64         // random for each process
	Gossip   netip.AddrPort // where it gossips
	Stream   string         // where it takes streams, host:port; empty: it takes none
	Version  string
	Codecs   []string      // that it reads
	Draining bool          // it is about to leave: it takes no new clients
	Interest bool          // it sends others what they listen to only
	Self     bool          // it is this node
	Keys     []Fingerprint // that it accepts, the one in use first; none: it is of a version that does not tell

	meta meta
}

// members is what gossip has told.
type members struct {
	self    string
	log     zerolog.Logger
	changed chan struct{} // has an item after each change

	mu        sync.Mutex
	byName    map[string]Member
	malformed uint64    // metadata that were not understood
	conflicts uint64    // other nodes seen that use a member's name
	shadowed  time.Time // when one with this node's name was last seen
}

// shadow is for how long after a conflict others may not know this node: the one that has its name must be found dead, and its name
// free again.
const shadow = time.Minute

func newMembers(self string, log zerolog.Logger) *members {
	return &members{self: self, log: log, changed: make(chan struct{}, 1), byName: make(map[string]Member)}
}

// gone notes that a node is a member no longer.
func (m *members) gone(name string) {
	m.mu.Lock()
	delete(m.byName, name)
	m.mu.Unlock()
	m.signal()
}

// conflict notes that a node was seen that uses a member's name.
func (m *members) conflict(name string, gossip, other netip.AddrPort) {
	m.mu.Lock()
	m.conflicts++
	if name == m.self {
		m.shadowed = time.Now()
	}
	m.mu.Unlock()
	m.log.Error().Str("node", name).Stringer("address", gossip).Stringer("other", other).Msg("two nodes have one name")
}

// isShadowed says whether others may know another node by this one's name.
func (m *members) isShadowed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.shadowed.IsZero() && time.Since(m.shadowed) < shadow
}

// present notes that a node is a member and what is known of it.
func (m *members) present(name string, gossip netip.AddrPort, meta []byte) {
	member, err := describe(name, gossip, meta)
	member.Self = name == m.self
	m.mu.Lock()
	if err != nil {
		m.malformed++
		delete(m.byName, name)
	} else {
		m.byName[name] = member
	}
	m.mu.Unlock()
	if err != nil {
		m.log.Warn().Err(err).Str("node", name).Msg("member is not used")
	}
	m.signal()
}

// describe reads what is known about a node.
func describe(name string, gossip netip.AddrPort, meta []byte) (Member, error) {
	if err := CheckName(name); err != nil {
		return Member{}, err
	}
	about, err := parseMeta(meta)
	if err != nil {
		return Member{}, err
	}
	if !gossip.IsValid() {
		return Member{}, errMeta
	}
	member := Member{
		Name: name, Instance: about.instance, Gossip: gossip, Version: about.version, Draining: about.draining, Interest: about.interest, Keys: about.keys, meta: about,
	}
	if about.stream != "" {
		host, port, err := net.SplitHostPort(about.stream)
		if err != nil {
			return Member{}, errMeta
		}
		if a, err := netip.ParseAddr(host); host == "" || err == nil && a.IsUnspecified() {
			host = gossip.Addr().String()
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
