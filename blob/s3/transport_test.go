package s3_test

import (
	"bytes"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/blob/s3"
	"github.com/starling-mail/starling/mailbox"
)

// TestTLS believes the certificates that it is told to believe, and no others.
func TestTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	o := s3.Options{Endpoint: strings.TrimPrefix(server.URL, "https://"), Bucket: "mail", Region: "us-east-1", AccessKey: "a", SecretKey: "s", Retries: 1}
	if _, err := s3.Open(t.Context(), o); mailbox.KindOf(err) != mailbox.Unavailable {
		t.Errorf("a server of unknown authority: %v", err)
	}
	o.RootCAs = x509.NewCertPool()
	o.RootCAs.AddCert(server.Certificate())
	if _, err := s3.Open(t.Context(), o); err != nil {
		t.Error(err)
	}
}

// TestStuck has a server that takes a request and never answers: whoever waits
// is told so in time.
func TestStuck(t *testing.T) {
	var stuck atomic.Bool
	end := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if stuck.Load() {
			select {
			case <-end:
			case <-r.Context().Done():
			}
		}
	}))
	defer server.Close()
	defer close(end)
	s := open(t, s3.Options{Endpoint: strings.TrimPrefix(server.URL, "http://"), Bucket: "mail", Region: "us-east-1", AccessKey: "a", SecretKey: "s",
		Insecure: true, Timeout: 100 * time.Millisecond, Retries: 1})
	stuck.Store(true)
	for _, size := range []int{1000, 6 << 20} {
		if _, err := s.Put(t.Context(), blob.NewID(), bytes.NewReader(make([]byte, size))); mailbox.KindOf(err) != mailbox.Unavailable {
			t.Errorf("put of %d bytes: %v", size, err)
		}
	}
	if _, err := s.Open(t.Context(), blob.NewID()); mailbox.KindOf(err) != mailbox.Unavailable {
		t.Errorf("open: %v", err)
	}
}
