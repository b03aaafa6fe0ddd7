package monitor

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"
)

// Options are what a Server is made of.
type Options struct {
	Sources Sources
	// State says in a few words why clients should not be sent here now, such as "draining"; empty: they should, if the store is ready.
	State func() string
	// Store reports why the store cannot serve now, or nil. At most one call is under way at a time.
	Store        func(context.Context) error
	ProbeTimeout time.Duration // how long Store may take; its answer is good for ProbeLife
	ProbeLife    time.Duration

	Trusted        []netip.Prefix // who may connect
	MaxConnections int
	Timeout        time.Duration // for a request and for its answer; a connection without either is closed after it, too
	Pprof          bool          // serve /debug/pprof/

	Log zerolog.Logger
}

// A Server answers by HTTP. Several may run in one process.
type Server struct {
	o     Options
	http  *http.Server
	probe *probe
	away  atomic.Bool // the store was, when it was asked last
}

// maxHeader bounds the header of a request, in bytes.
const maxHeader = 16 << 10

// New makes a Server. It serves nobody until Serve is called.
func New(o Options) *Server {
	s := &Server{o: o, probe: newProbe(o.Store, o.ProbeTimeout, o.ProbeLife)}
	s.http = &http.Server{
		Handler:        s.handler(),
		ReadTimeout:    o.Timeout,
		WriteTimeout:   o.Timeout, // pprof adds the time of the profile to it
		IdleTimeout:    o.Timeout,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       log.New(lines{o.Log}, "", 0),
	}
	return s
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "alive") })
	mux.HandleFunc("GET /readyz", s.ready)
	registry := prometheus.NewRegistry()
	registry.MustRegister(s.o.Sources.collectors()...) // which are none twice
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog: logger{s.o.Log}, ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 2, EnableOpenMetrics: true,
	}))
	if s.o.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// ready answers whether clients should be sent here.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if why := s.o.State(); why != "" {
		say(w, http.StatusServiceUnavailable, why)
		return
	}
	err := s.probe.ask(r.Context())
	if r.Context().Err() != nil {
		return // nobody listens any more
	}
	// Load balancers ask all the time: only what changes is logged.
	if away := err != nil; s.away.Swap(away) != away {
		if away {
			s.o.Log.Warn().Err(err).Msg("the store is not ready")
		} else {
			s.o.Log.Info().Msg("the store is ready again")
		}
	}
	if err != nil {
		say(w, http.StatusServiceUnavailable, "the store is not available") // what exactly is wrong is for the log
		return
	}
	say(w, http.StatusOK, "ready")
}

// say answers with a line.
func say(w http.ResponseWriter, status int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(line + "\n")) // whoever asked may be gone
}

// Serve answers whoever connects to ln, until Close is called or ln fails. It closes ln.
func (s *Server) Serve(ln net.Listener) error {
	if err := s.http.Serve(newListener(ln, &s.o)); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close ends Serve once what is being answered is answered, or ctx has ended.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	return errors.Join(err, s.probe.close(ctx))
}

// lines logs what net/http has to say: clients that break off.
type lines struct{ log zerolog.Logger }

// Write logs one line.
func (l lines) Write(p []byte) (int, error) {
	l.log.Debug().Str("from", "net/http").Msg(string(p))
	return len(p), nil
}

// A logger takes what promhttp logs.
type logger struct{ log zerolog.Logger }

// Println logs an error.
func (l logger) Println(v ...any) { l.log.Error().Interface("error", v).Msg("metrics") }
