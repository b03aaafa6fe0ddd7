package s3

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"time"
)

// connectTimeout bounds one attempt to connect, and the TLS handshake.
const connectTimeout = 5 * time.Second

// idleTime is how long a connection that is not used stays open.
const idleTime = 90 * time.Second

// newTransport returns the way to the object store that the options ask for.
func newTransport(o Options) http.RoundTripper {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: connectTimeout}).DialContext,
		TLSHandshakeTimeout:   connectTimeout,
		TLSClientConfig:       &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:     true,
		MaxConnsPerHost:       o.Connections,
		MaxIdleConnsPerHost:   o.Connections,
		IdleConnTimeout:       idleTime,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true, // objects are taken as they are
	}
}

// timed bounds each request, from its first byte to the last of the answer. What
// is sent is in memory, so its time is the object store's alone.
type timed struct {
	http.RoundTripper
	timeout time.Duration
}

// RoundTrip implements http.RoundTripper.
func (t timed) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(r.Context(), t.timeout)
	resp, err := t.RoundTripper.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = &timedBody{resp.Body, cancel}
	return resp, nil
}

type timedBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close implements io.Closer.
func (b *timedBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}
