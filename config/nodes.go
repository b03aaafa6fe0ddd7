package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// checkNodes reports faults of a database and a cluster that several nodes share.
func (d *decoder) checkNodes(c *Config) {
	if c.Store.Kind == StorePostgres && c.Store.Postgres.DSN == "" && len(c.Store.Shards) == 0 {
		d.fault("store.postgres.dsn", `must not be empty where store.kind is "postgres"`)
	}
	d.checkShards(c)
	d.checkS3(c)
	l := &c.Cluster
	if l.Enabled {
		switch {
		case c.Store.Kind != StorePostgres:
			d.fault("cluster.enabled", `needs store.kind = "postgres": several nodes must share one database, and %s has one process only`, c.Store.Kind)
		case c.Store.Postgres.Blobs == "" && c.Store.S3.Endpoint == "":
			d.fault("store.postgres.blobs", "must name a folder that all nodes of the cluster share, or store.s3 an object store")
		}
		if l.KeysFile == "" {
			d.fault("cluster.keys_file", "must not be empty")
		}
	}
	for _, a := range []struct {
		key, address string
		advertised   bool
	}{
		{"cluster.gossip", l.Gossip, false},
		{"cluster.stream", l.Stream, false},
		{"cluster.advertise_gossip", l.AdvertiseGossip, true},
		{"cluster.advertise_stream", l.AdvertiseStream, true},
	} {
		if a.advertised && a.address == "" {
			continue
		}
		parsed, err := netip.ParseAddrPort(a.address)
		switch {
		case err != nil:
			d.fault(a.key, `%q; allowed: a numeric host:port such as "10.0.0.1:7946"`, a.address)
		case a.advertised && (parsed.Addr().IsUnspecified() || parsed.Port() == 0):
			d.fault(a.key, "%q; allowed: an address that others can reach", a.address)
		}
	}
	d.checkLanes(l)
	for i, j := range l.Join {
		if j == "" {
			d.fault(fmt.Sprintf("cluster.join[%d]", i), "must not be empty")
		}
	}
}

// shardName is what shards may be called: the names are in databases, folders and cursors.
var shardName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// checkShards reports faults of several databases.
func (d *decoder) checkShards(c *Config) {
	list := c.Store.Shards
	if len(list) == 0 {
		return
	}
	if c.Store.Kind != StorePostgres {
		d.fault("store.shards", `needs store.kind = "postgres"`)
	}
	if c.Store.Postgres.DSN != "" {
		d.fault("store.postgres.dsn", "the databases are either this one or store.shards: make it the dsn of the first shard")
	}
	names, dsns, open := make(map[string]bool), make(map[string]bool), false
	for i, sh := range list {
		key := fmt.Sprintf("store.shards[%d]", i)
		switch {
		case !shardName.MatchString(sh.Name):
			d.fault(key+".name", "%q; allowed: lower-case letters, digits and hyphens", sh.Name)
		case names[sh.Name]:
			d.fault(key+".name", "%q is there twice", sh.Name)
		}
		switch {
		case sh.DSN == "":
			d.fault(key+".dsn", "must not be empty")
		case dsns[sh.DSN]:
			d.fault(key+".dsn", "is that of another shard too")
		}
		names[sh.Name], dsns[sh.DSN] = true, true
		open = open || !sh.Closed
	}
	if !open {
		d.fault("store.shards", "all are closed: there is no room for a new account")
	}
}

// checkS3 reports faults of the object store.
func (d *decoder) checkS3(c *Config) {
	o := &c.Store.S3
	if o.Endpoint == "" {
		if o.Bucket != "" || o.AccessKey != "" || o.SecretKey != "" {
			d.fault("store.s3.endpoint", "must not be empty where there is a bucket or a key")
		}
		return
	}
	if c.Store.Kind != StorePostgres {
		d.fault("store.s3.endpoint", `needs store.kind = "postgres": %s keeps large messages in data_dir`, c.Store.Kind)
	}
	if c.Store.Postgres.Blobs != "" {
		d.fault("store.postgres.blobs", "large messages are either in this folder or in store.s3")
	}
	if strings.Contains(o.Endpoint, "/") {
		d.fault("store.s3.endpoint", "%q; allowed: a host or host:port; tls says whether it is https", o.Endpoint)
	}
	if o.Bucket == "" {
		d.fault("store.s3.bucket", "must not be empty")
	}
	if (o.AccessKey == "") != (o.SecretKey == "") {
		d.fault("store.s3.secret_key", "access_key and secret_key go together")
	}
	if o.CAFile != "" && !o.TLS {
		d.fault("store.s3.ca_file", "serves tls only")
	}
}

// checkLanes reports faults of the ways to other nodes.
func (d *decoder) checkLanes(l *Cluster) {
	if len(l.Lanes) == 0 {
		d.fault("cluster.lanes", "must name %s, %s or both", LaneStreams, LaneBroadcast)
		return
	}
	for i, lane := range l.Lanes {
		key := fmt.Sprintf("cluster.lanes[%d]", i)
		switch {
		case lane != LaneStreams && lane != LaneBroadcast:
			d.fault(key, "%q; allowed: %s, %s", lane, LaneStreams, LaneBroadcast)
		case slices.Contains(l.Lanes[:i], lane):
			d.fault(key, "%q is there twice", lane)
		}
	}
	if l.Mode == ModeInterest && !slices.Contains(l.Lanes, LaneStreams) {
		d.fault("cluster.mode", "%q needs the lane %s: what nodes listen to is told there, and gossip goes to all in any case", ModeInterest, LaneStreams)
	}
}
