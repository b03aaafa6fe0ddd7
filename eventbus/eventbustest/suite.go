// Package eventbustest is the suite that every arrangement of buses passes: one in memory, or several nodes. README.md lists the behaviours of the
// bus, and the tests that show them.
package eventbustest

import (
	"testing"

	"github.com/starling-mail/starling/eventbus"
)

// Buses is an arrangement: one bus a node. What one publishes reaches the others.
type Buses struct {
	Nodes []*eventbus.Bus
	// Queue is the QueueLimit that the buses were made with; a small one makes the suite quick.
	Queue int
}

// Run runs the suite. open returns a new arrangement, whose buses are Mixed, and closes it when t ends.
func Run(t *testing.T, open func(t *testing.T) Buses) {
	for _, b := range []struct {
		name string
		test func(t *testing.T, b Buses)
	}{
		{"OwnKeyOnly", ownKeyOnly},
		{"SeveralKeysOnce", severalKeysOnce},
		{"EveryListener", everyListener},
		{"RegisteredTwice", registeredTwice},
		{"Unregister", unregister},
		{"BeforeAndAfter", beforeAndAfter},
		{"NoKeys", noKeys},
		{"NothingChanged", nothingChanged},
		{"RegisterThenLoad", registerThenLoad},
		{"Failing", failing},
		{"PublishFromHandler", publishFromHandler},
		{"CloseFromHandler", closeFromHandler},
		{"AsyncAndSync", asyncAndSync},
		{"TooSlow", tooSlow},
		{"Order", order},
		{"Local", local},
		{"Cluster", cluster},
		{"AllAccounts", allAccounts},
		{"Whole", whole},
		{"Many", many},
		{"EachNode", eachNode},
		{"NetworkNotWaitedFor", networkNotWaitedFor},
		{"ManyNodes", manyNodes},
		{"LostAll", lostAll},
		{"LostKeys", lostKeys},
		{"CompareAll", compareAll},
	} {
		t.Run(b.name, func(t *testing.T) { b.test(t, open(t)) })
	}
}
