// Package cluster makes one service of several nodes: it finds the other nodes, and carries what this one's bus publishes to theirs.
//
// Members find each other by gossip (hashicorp/memberlist). Each node keeps one TLS 1.3 stream to each other member, over which
// it sends events in batches, numbered for that receiver. Nothing here waits for the network on behalf of a publisher:
// queues are bounded, what does not fit is dropped, and the receiver sees from the numbers that something is missing. Then, and
// every so often anyway, it reads the store's feed, which remembers everything. So the streams decide how soon a
// change is told, and the feed that it is told. Gossip carries the same events a second way, around a link that is broken.
//
// Both gossip and streams are closed to whoever has not the cluster's key: 32 random bytes, which may be exchanged while
// the cluster runs (Node.SetKeys). Everything that comes from the network is bounded and checked all the same.
package cluster
