package stream

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
)

// A KeyPair names the PEM files of a certificate chain and its private key. They may
// be the same file.
type KeyPair struct {
	Cert string
	Key  string
}

// Certificates are what the server shows to its clients, chosen by the name that the
// client asks for (SNI). They can be read again while connections use them.
type Certificates struct {
	pairs   []KeyPair
	current atomic.Pointer[tls.Config]
}

// LoadCertificates reads the files of pairs. A client that asks for no name, or for one
// that none is for, gets the first.
func LoadCertificates(pairs ...KeyPair) (*Certificates, error) {
	if len(pairs) == 0 {
		return nil, errors.New("stream: no certificate")
	}
	c := &Certificates{pairs: slices.Clone(pairs)}
	if err := c.Reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// Reload reads the files again, for the handshakes to come. On an error, which tells of
// every file that is at fault, nothing changes.
func (c *Certificates) Reload() error {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	var faults []error
	for _, p := range c.pairs {
		cert, err := tls.LoadX509KeyPair(p.Cert, p.Key)
		if err != nil {
			faults = append(faults, fmt.Errorf("certificate %s, key %s: %w", p.Cert, p.Key, err))
			continue
		}
		config.Certificates = append(config.Certificates, cert)
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	c.current.Store(config)
	return nil
}

// Config returns a configuration for StartTLS that follows every Reload: TLS 1.2 or
// later. Session tickets outlive a Reload.
func (c *Certificates) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return c.current.Load(), nil
		},
	}
}
