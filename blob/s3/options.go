package s3

import (
	"crypto/x509"
	"net/http"
	"time"
)

// Options says where blobs are kept. Endpoint and Bucket are required; what is
// zero gets its default.
type Options struct {
	Endpoint string // host or host:port
	Bucket   string // it must exist
	Prefix   string // of all names, such as "mail/"; nothing else may be below it
	Region   string // default: the server is asked

	// AccessKey and SecretKey are the credentials. Without them those of the
	// machine's role are taken, where the cloud gives it one.
	AccessKey, SecretKey string

	Insecure  bool              // HTTP, for a server on the same machine or network
	PathStyle bool              // the bucket's name in the path; default: as the endpoint needs it
	RootCAs   *x509.CertPool    // whom to believe who the server is; default: the system's
	Transport http.RoundTripper // default: one of its own, with RootCAs and Connections

	PartSize int           // bytes of one piece of an upload, kept in memory while it is sent; default 8 MiB, at least 5 MiB
	Chunk    int           // bytes that are read at a time; default 1 MiB
	Timeout  time.Duration // of one request, and of all attempts to read or delete; default 30 seconds
	Retries  int           // how often a failed request is tried; default 3

	Connections int // at a time; default 64
}

// minPartSize is the least that S3 takes as a part that is not the last.
const minPartSize = 5 << 20

func (o Options) withDefaults() Options {
	if o.PartSize <= 0 {
		o.PartSize = 8 << 20
	}
	o.PartSize = max(o.PartSize, minPartSize)
	if o.Chunk <= 0 {
		o.Chunk = 1 << 20
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Retries <= 0 {
		o.Retries = 3
	}
	if o.Connections <= 0 {
		o.Connections = 64
	}
	if o.Transport == nil {
		o.Transport = newTransport(o)
	}
	return o
}
