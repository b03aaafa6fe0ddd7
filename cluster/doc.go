// Package cluster makes one service of several nodes: it finds the other nodes, and carries what this one's bus publishes to theirs.
//
// Members find each other by gossip (hashicorp/memberlist). Each node keeps one TLS 1.3 stream to each other member, over which
// it sends events in batches, numbered for that receiver. Nothing here waits for the network on behalf of a publisher:
// queues are bounded, what does not fit is dropped, and the receiver sees from the numbers that something is missing. Then, and
// every so often anyway, it reads the store's feed, which remembers everything. So the streams decide how soon a
// change is told, and the feed that it is told. Gossip carries the same events a second way, around a link that is broken.
//
// What is promised, with the test that shows it:
//
//   - What one node publishes reaches all, once and in order of the publisher, as long as nothing is lost ("TestBuses": eventbustest over
//     three nodes, both codecs).
//   - Whatever a queue drops or a cut takes away, the receiver has it or is told ("TestLossIsSeen", "TestOverflowWithoutMore"); and
//     a cut that takes nothing away costs nothing ("TestBrokenStreamWithoutLoss").
//   - With a feed everybody is right again after every loss, and learns of what was committed and never published ("TestFlappingNetwork",
//     "TestDeathBetweenCommitAndPublish", "TestPartition", "TestRepair").
//   - A slow node delays neither publishers nor other nodes ("TestSlowNode"). One that gossip gives up wrongly
//     keeps its stream ("TestWronglyGivenUp").
//   - A name used by another process is another node ("TestNewInstance"); all may be restarted at once ("TestRestartOfAll").
//   - Who leaves sends what waits first ("TestCloseSendsWhatWaits").
//   - Without the key nobody gets in, nor from another cluster ("TestBothEndsProveTheKey", "TestWrongClusterName", "TestNoKeyAtAll",
//     "TestStrangersKeepNobodyOut"); keys are exchanged while events flow ("TestKeyRotation").
//   - Hostile bytes are refused or passed over, and counted ("TestHostileStream", "TestLane", "FuzzStream", "FuzzMeta").
//   - Gossip alone is enough, and it leads around a broken link ("TestBroadcastLaneAlone", "TestBrokenLink").
//
// Both gossip and streams are closed to whoever has not the cluster's key: 32 random bytes, which may be exchanged while
// the cluster runs (Node.SetKeys). Everything that comes from the network is bounded and checked all the same.
package cluster
