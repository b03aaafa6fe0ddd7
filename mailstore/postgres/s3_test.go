package postgres

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/blob/s3"
	"github.com/starling-mail/starling/blob/s3/s3test"
	"github.com/starling-mail/starling/mailbox"
)

// A gate lets requests through or not.
type gate struct {
	http.RoundTripper
	shut atomic.Bool
}

func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	if g.shut.Load() {
		return nil, errors.New("no way to the object store")
	}
	return g.RoundTripper.RoundTrip(r)
}

// TestBodiesInS3 runs two nodes over PostgreSQL and a real S3 server. Without the
// latter large messages are refused for a time, and small ones are not.
func TestBodiesInS3(t *testing.T) {
	server, err := s3test.Start()
	if errors.Is(err, s3test.ErrMissing) {
		if os.Getenv("STARLING_E2E") == "" && os.Getenv("CI") == "" {
			t.Skip(err)
		}
		if err = s3test.Install(); err == nil {
			server, err = s3test.Start()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	way := &gate{RoundTripper: &http.Transport{}}
	url := database(t)
	var nodes []*Store
	for range 2 {
		b, err := s3.Open(t.Context(), s3.Options{Endpoint: server.Endpoint, Bucket: server.Bucket, Prefix: "mail/", AccessKey: server.AccessKey, SecretKey: server.SecretKey,
			Insecure: true, Region: "us-east-1", Transport: way, Retries: 1})
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, open(t, Options{URL: url, Blobs: b, BodyGrace: time.Microsecond, MaintainEvery: time.Hour}))
	}
	_, inbox := addAccount(t, nodes[0], "ada")
	want := [][]byte{mail(1, 1000), mail(2, 300_000), mail(3, 12<<20)}
	for _, m := range want {
		add(t, nodes[0], inbox, m)
	}
	for i, m := range want {
		b, err := nodes[1].Body(t.Context(), inbox, imap.UID(i+1))
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 500)
		if n, _ := b.ReadAt(p, int64(len(m)/2)); !bytes.Equal(p[:n], m[len(m)/2:][:n]) || n == 0 {
			t.Errorf("message %d: the middle is not as it was", i)
		}
		b.Close()
		if got := body(t, nodes[1], inbox, imap.UID(i+1)); !bytes.Equal(got, m) {
			t.Errorf("message %d: %d bytes, want %d", i, len(got), len(m))
		}
	}
	way.shut.Store(true)
	if _, err := try(nodes[1], inbox, want[1]); mailbox.KindOf(err) != mailbox.Unavailable {
		t.Errorf("append without the object store: %v", err)
	}
	if _, err := nodes[1].Body(t.Context(), inbox, 2); mailbox.KindOf(err) != mailbox.Unavailable {
		t.Errorf("body without the object store: %v", err)
	}
	add(t, nodes[1], inbox, want[0])
	expunge(t, nodes[0], inbox)
	if err := nodes[1].Maintain(t.Context()); mailbox.KindOf(err) != mailbox.Unavailable {
		t.Errorf("maintenance without the object store: %v", err)
	}
	way.shut.Store(false)
	if err := nodes[1].Maintain(t.Context()); err != nil {
		t.Error(err)
	}
	if n := count(t, nodes[0]); n != 0 {
		t.Errorf("%d blobs are left", n)
	}
}
