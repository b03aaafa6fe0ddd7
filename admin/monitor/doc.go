// Package monitor tells others how a node is, by HTTP: whether it lives (/healthz), whether clients should be sent to it (/readyz), its
// figures in the form that Prometheus reads (/metrics) and, if that is switched on, Go's profiles (/debug/pprof/).
//
// The other packages count by themselves and know nothing of Prometheus; their Stats are read when somebody asks. Nothing here
// names a user, an address of a client or a mailbox. There is no password: a Server answers those whose addresses are trusted, and the
// answers are not for the public.
package monitor
