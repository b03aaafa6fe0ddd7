// Package clustertest is a simulation of a cluster: whole nodes (bus, cluster, trackers, IMAP sessions) over one store in memory, on a network that
// loses, delays, repeats and reorders, is cut and heals, with nodes that freeze, die and come back, all in one bubble of testing/synctest.
// Everything follows from a seed. Clients that believe every word check each response as it comes, against what they
// were told before and against what the store has committed; in the end each must have been told what the store has.
//
// A seed runs again exactly, with its log:
//
//	go test ./cluster/clustertest -run TestSeeds -first 4711 -seeds 1 -v
package clustertest
