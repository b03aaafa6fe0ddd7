// Package eventbus carries events from where they were committed to whoever listens.
//
// The bus hurries; it does not remember. It may lose what a listener is too slow for, and says so: then the listener starts again
// from the store, which orders and remembers everything. What the bus does promise, with the subtest of
// eventbustest that shows it:
//
//   - A listener gets the events of its own keys only, each once ("OwnKeyOnly", "SeveralKeysOnce", "EveryListener").
//   - A listener that is registered twice on a key is called once; closing is idempotent ("RegisteredTwice", "Unregister").
//   - Nothing from before the registration arrives, and nothing after it was closed ("BeforeAndAfter").
//   - What changes nothing is not delivered ("NothingChanged").
//   - Who registers and then loads misses nothing ("RegisterThenLoad").
//   - The publisher and its node's listeners do not wait for other nodes ("NetworkNotWaitedFor").
//   - A failing or panicking listener harms only itself ("Failing").
//   - A handler may publish; an async listener does not delay the publisher and a sync one does ("PublishFromHandler", "AsyncAndSync").
//   - A listener that is too slow is told that it lost events, and memory stays bounded ("TooSlow").
//   - Each listener gets what one publisher publishes in that order ("Order").
//   - What one node publishes reaches the listeners of the others, each once and in order, as long as the Transport loses
//     nothing ("EachNode", "ManyNodes"); what a Transport lost, the listeners are told of ("LostAll", "LostKeys", "CompareAll").
//   - A local listener handles what its own node published, a cluster listener everything, one for all accounts everything but Changes, once
//     ("Local", "Cluster", "AllAccounts", "Whole").
//   - A Selective Transport knows what is listened to ("TestSelective").
package eventbus
