package cluster

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// Bounds of what is read to find others.
const (
	maxJoinFile = 64 << 10 // bytes
	maxJoin     = 1024     // addresses
)

// addresses returns the addresses that one item of Options.Join stands for.
func addresses(ctx context.Context, r Resolver, item string) ([]netip.AddrPort, error) {
	if path, ok := strings.CutPrefix(item, "file:"); ok {
		return fileAddresses(ctx, r, path)
	}
	if name, ok := strings.CutPrefix(item, "srv:"); ok {
		_, records, err := r.LookupSRV(ctx, "", "", name)
		if err != nil {
			return nil, err
		}
		var list []netip.AddrPort
		for _, s := range records[:min(len(records), maxJoin)] {
			found, err := hostAddresses(ctx, r, strings.TrimSuffix(s.Target, "."), s.Port)
			if err != nil {
				return nil, err
			}
			list = append(list, found...)
		}
		return list, nil
	}
	host, port := item, uint16(DefaultPort)
	if h, p, err := net.SplitHostPort(item); err == nil {
		v, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("port of %q: %w", item, err)
		}
		host, port = h, uint16(v)
	}
	return hostAddresses(ctx, r, strings.Trim(host, "[]"), port)
}

// hostAddresses looks a name up, unless it is an address.
func hostAddresses(ctx context.Context, r Resolver, host string, port uint16) ([]netip.AddrPort, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(ip.Unmap(), port)}, nil
	}
	ips, err := r.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var list []netip.AddrPort
	for _, ip := range ips[:min(len(ips), maxJoin)] {
		list = append(list, netip.AddrPortFrom(ip.Unmap(), port))
	}
	return list, nil
}

// fileAddresses reads a file of items, one a line; empty lines and those that begin with # are passed over. What cannot be
// resolved is passed over as long as something can.
func fileAddresses(ctx context.Context, r Resolver, path string) ([]netip.AddrPort, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxJoinFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxJoinFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxJoinFile)
	}
	var list []netip.AddrPort
	var fault error
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if strings.HasPrefix(line, "file:") {
			return nil, fmt.Errorf("%s names another file", path)
		}
		found, err := addresses(ctx, r, line)
		if err != nil {
			fault = err
			continue
		}
		if list = append(list, found...); len(list) > maxJoin {
			return list[:maxJoin], nil
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	return nil, fault
}

// join tries again and again to reach everybody who should be there and is not.
func (n *Node) join(ctx context.Context) {
	tick := time.NewTicker(n.o.RejoinInterval)
	defer tick.Stop()
	for {
		n.joinMissing(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (n *Node) joinMissing(ctx context.Context) {
	present := make(map[netip.AddrPort]bool)
	members, shadowed := n.members.all(), n.members.isShadowed()
	for _, m := range members {
		// Where another node has this one's name, the others know only that; when it is gone, somebody must tell them that this one is there.
		if !shadowed || m.Self {
			present[m.Gossip] = true
		}
	}
	reached := len(n.o.Join) == 0 || len(members) > 1
	for _, item := range n.o.Join {
		lookup, cancel := context.WithTimeout(ctx, 5*time.Second)
		list, err := addresses(lookup, n.o.Resolver, item)
		cancel()
		if err != nil {
			n.log.Warn().Err(err).Str("join", item).Msg("cannot look up who to join")
		}
		for _, a := range list {
			if present[a] || ctx.Err() != nil {
				continue
			}
			present[a] = true // once is enough
			if err := n.network.Join(a); err != nil {
				n.log.Debug().Err(err).Stringer("address", a).Msg("cannot join")
				continue
			}
			reached = true
		}
	}
	if ctx.Err() == nil && n.joined.CompareAndSwap(false, true) {
		n.log.Info().Bool("reached", reached).Int("members", len(n.members.all())).Msg("tried to join the cluster")
	}
}
