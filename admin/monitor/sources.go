package monitor

import (
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/starling-mail/starling/auth"
	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/cluster"
	"github.com/starling-mail/starling/eventbus"
	"github.com/starling-mail/starling/imapserver"
	"github.com/starling-mail/starling/latency"
	"github.com/starling-mail/starling/lmtp"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/tracker"
)

// Sources are where the figures come from. What a node does not have is nil.
type Sources struct {
	Version  string // of the program
	IMAP     func() imapserver.Stats
	LMTP     func() lmtp.Stats
	Auth     func() auth.Stats
	Bus      func() eventbus.Stats
	Trackers func() tracker.Stats
	Store    func() mailstore.Stats
	Blobs    func() blob.Stats
	Cluster  func() cluster.Stats
}

// prefix begins the names of all metrics that are Starling's own.
const prefix = "starling_"

// collectors returns what a registry is made of.
func (s Sources) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		s,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}
}

// Describe implements prometheus.Collector. It says nothing: which metrics there are depends on what happens, and the registry checks
// them as they come.
func (Sources) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s Sources) Collect(ch chan<- prometheus.Metric) {
	e := emitter(ch)
	e.gauge("build_info", "The program's version and that of Go it was built with; always 1.", 1, "version", s.Version, "go", runtime.Version())
	collect(e, s.IMAP, collectIMAP)
	collect(e, s.LMTP, collectLMTP)
	collect(e, s.Auth, collectAuth)
	collect(e, s.Bus, collectBus)
	collect(e, s.Trackers, collectTrackers)
	collect(e, s.Store, collectStore)
	collect(e, s.Blobs, collectBlobs)
	collect(e, s.Cluster, collectCluster)
}

// collect emits the figures of one source, if there is one.
func collect[T any](e emitter, source func() T, emit func(emitter, T)) {
	if source != nil {
		emit(e, source())
	}
}

// An emitter makes metrics of figures. Labels are names and values in turn; the names must be the same for each metric of a name.
type emitter chan<- prometheus.Metric

func (e emitter) counter(name, help string, value uint64, labels ...string) {
	e.send(name, help, prometheus.CounterValue, float64(value), labels)
}

// spent is a counter of seconds.
func (e emitter) spent(name, help string, value time.Duration, labels ...string) {
	e.send(name, help, prometheus.CounterValue, value.Seconds(), labels)
}

func (e emitter) gauge(name, help string, value float64, labels ...string) {
	e.send(name, help, prometheus.GaugeValue, value, labels)
}

// is is a gauge that is 1 or 0.
func (e emitter) is(name, help string, value bool, labels ...string) {
	v := 0.0
	if value {
		v = 1
	}
	e.gauge(name, help, v, labels...)
}

func (e emitter) send(name, help string, kind prometheus.ValueType, value float64, labels []string) {
	names, values := split(labels)
	e <- prometheus.MustNewConstMetric(prometheus.NewDesc(prefix+name, help, names, nil), kind, value, values...)
}

func (e emitter) histogram(name, help string, h latency.Snapshot, labels ...string) {
	names, values := split(labels)
	buckets := make(map[float64]uint64)
	h.Cumulative(func(bound time.Duration, n uint64) { buckets[bound.Seconds()] = n })
	e <- prometheus.MustNewConstHistogram(prometheus.NewDesc(prefix+name, help, names, nil), h.Count(), h.Sum.Seconds(), buckets, values...)
}

// split parts labels into names and values. What is not UTF-8, which no name here is, is left out: the registry would refuse it.
func split(labels []string) (names, values []string) {
	for i := 0; i+1 < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, strings.ToValidUTF8(labels[i+1], ""))
	}
	return names, values
}
