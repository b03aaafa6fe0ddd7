package monitor

import (
	"strings"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/tracker"
)

func collectBus(e emitter, s eventbus.Stats) {
	e.counter("bus_published_total", "Events that this node published.", s.Published)
	e.counter("bus_received_total", "Events that came from other nodes, or from the feed.", s.Received)
	e.counter("bus_delivered_total", "Events handled, counted for each listener.", s.Delivered)
	e.counter("bus_lost_total", "Events dropped because a listener was too slow or had to start again, counted for each listener.", s.Lost)
	e.counter("bus_errors_total", "Calls of listeners that failed.", s.Errors)
	e.counter("bus_panics_total", "Calls of listeners that panicked: faults of the program.", s.Panics)
	e.gauge("bus_queued", "Events that wait in queues of listeners now.", float64(s.Queued))
	e.gauge("bus_listeners", "Listeners now, counted for each mailbox or account.", float64(s.Listeners))
}

func collectTrackers(e emitter, s tracker.Stats) {
	e.gauge("tracker_mailboxes", "Mailboxes that are followed now, those that nobody watches included.", float64(s.Trackers))
	e.gauge("tracker_views", "Mailboxes that clients have selected now, counted for each client.", float64(s.Views))
	e.gauge("tracker_budget_bytes", "Memory that mailboxes take now of tracker.budget.", float64(s.Bytes))
	e.counter("tracker_gaps_total", "Changes that came while one before them was missing.", s.Gaps)
	e.counter("tracker_lost_total", "Times that events of a mailbox were dropped on the way to its tracker.", s.Lost)
	e.counter("tracker_loads_total", "Mailboxes read from the store for the first time.", s.Loads)
	e.counter("tracker_repairs_total", "Times that the store was asked for the changes of a mailbox that were missing.", s.Repairs)
	e.counter("tracker_resyncs_total", "Times that a mailbox was compared with the store as a whole.", s.Resyncs)
	e.counter("tracker_failures_total", "Times that the store could not be read for a mailbox.", s.Failed)
	e.counter("tracker_set_back_total", "Mailboxes whose store had lost what clients were told: a restore, or a fail-over that lost data.", s.SetBack)
}

func collectStore(e emitter, s mailstore.Stats) {
	e.histogram("store_commit_seconds", "Transactions that wrote, from their beginning until it was known what came of them.", s.Commits)
	e.counter("store_writes_total", "Requests to write that were committed; a transaction serves one or more.", s.Writes)
	e.gauge("store_writes_waiting", "Requests to write that wait now for a transaction.", float64(s.Waiting))
	for k, n := range s.Errors {
		e.counter("store_errors_total", "Requests to the database that failed, by what was wrong; much of it is no fault of the store's.", n,
			"kind", strings.ReplaceAll(mailbox.Kind(k).String(), " ", "_"))
	}
	const connections = "Connections to the database now."
	e.gauge("store_connections", connections, float64(s.Pool.Used), "state", "used")
	e.gauge("store_connections", connections, float64(s.Pool.Open-s.Pool.Used), "state", "free")
	e.gauge("store_connections_max", "Connections to the database, at most.", float64(s.Pool.Max))
	e.counter("store_connections_opened_total", "Connections to the database that were opened.", s.Pool.Opened)
	e.counter("store_connection_waits_total", "Times that no connection to the database was free.", s.Pool.Waits)
	e.spent("store_connection_wait_seconds_total", "Time spent waiting for a connection to the database.", s.Pool.Waited)
}

func collectBlobs(e emitter, s blob.Stats) {
	const operations = "Operations on large bodies that succeeded."
	e.counter("blob_operations_total", operations, s.Puts, "operation", "put")
	e.counter("blob_operations_total", operations, s.Opens, "operation", "open")
	e.counter("blob_operations_total", operations, s.Deletes, "operation", "delete")
	e.counter("blob_errors_total", "Operations on large bodies that failed.", s.Errors)
	e.counter("blob_written_bytes_total", "Bytes of large bodies written.", s.WrittenBytes)
	e.counter("blob_read_bytes_total", "Bytes of large bodies read.", s.ReadBytes)
}
