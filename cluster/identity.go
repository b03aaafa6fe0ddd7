package cluster

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"
)

// streamProtocol is what the streams' TLS negotiates (ALPN).
const streamProtocol = "starling-stream/1"

// Certificates are valid always: clocks must not decide whether nodes talk.
var (
	validFrom  = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	validUntil = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
)

// An authority is the certificate authority that a key gives: the same on every node.
type authority struct {
	key     Key
	cert    *x509.Certificate
	private ed25519.PrivateKey
}

// newAuthority derives the authority of a key in a cluster.
func newAuthority(k Key, cluster string) (*authority, error) {
	seed, err := hkdf.Key(sha256.New, k[:], nil, "starling stream certificate authority v1\x00"+cluster, ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	private := ed25519.NewKeyFromSeed(seed)
	public := private.Public().(ed25519.PublicKey)
	id := sha256.Sum256(public)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		// The name of the authority tells those of one rotation apart; it says nothing about the key.
		Subject:               pkix.Name{CommonName: fmt.Sprintf("starling cluster %x", id[:8])},
		SubjectKeyId:          id[:20],
		NotBefore:             validFrom,
		NotAfter:              validUntil,
		IsCA:                  true,
		MaxPathLenZero:        true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(nil, template, template, public, private)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &authority{key: k, cert: cert, private: private}, err
}

// certify makes a certificate for a node's own key.
func (a *authority) certify(node string, public crypto.PublicKey, private crypto.PrivateKey) (*tls.Certificate, error) {
	var serial [16]byte
	rand.Read(serial[:])
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(append([]byte{1}, serial[:]...)),
		Subject:      pkix.Name{CommonName: node},
		DNSNames:     []string{node},
		NotBefore:    validFrom,
		NotAfter:     validUntil,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.private)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, err
}

// An identity is how this node proves on streams that it has the keys, and checks that others do.
type identity struct {
	node, cluster string
	public        ed25519.PublicKey
	private       ed25519.PrivateKey // random, for as long as the process lives

	mu          sync.Mutex
	authorities []*authority // of all keys, the one in use first
	roots       *x509.CertPool
	cert        *tls.Certificate
}

func newIdentity(node, cluster string, keys []Key) (*identity, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	id := &identity{node: node, cluster: cluster, public: public, private: private}
	return id, id.setKeys(keys)
}

// setKeys exchanges the keys. On an error the old ones stay.
func (id *identity) setKeys(keys []Key) error {
	if err := checkKeys(keys); err != nil {
		return err
	}
	var list []*authority
	roots := x509.NewCertPool()
	for _, k := range keys {
		a, err := newAuthority(k, id.cluster)
		if err != nil {
			return err
		}
		list = append(list, a)
		roots.AddCert(a.cert)
	}
	cert, err := list[0].certify(id.node, id.public, id.private)
	if err != nil {
		return err
	}
	id.mu.Lock()
	defer id.mu.Unlock()
	id.authorities, id.roots, id.cert = list, roots, cert
	return nil
}

// client returns the configuration for a stream to a node, and the key that it shows.
func (id *identity) client(node string) (*tls.Config, Key) {
	id.mu.Lock()
	defer id.mu.Unlock()
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{streamProtocol},
		Certificates:           []tls.Certificate{*id.cert},
		RootCAs:                id.roots,
		ServerName:             node, // the one that answers must be it
		SessionTicketsDisabled: true,
	}, id.authorities[0].key
}

// server returns the configuration for a stream from another node, and the key that it shows.
func (id *identity) server() (*tls.Config, Key) {
	id.mu.Lock()
	defer id.mu.Unlock()
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{streamProtocol},
		Certificates:           []tls.Certificate{*id.cert},
		ClientCAs:              id.roots,
		ClientAuth:             tls.RequireAndVerifyClientCert,
		SessionTicketsDisabled: true,
	}, id.authorities[0].key
}

// errPeer says that a certificate is good but not one of a node.
var errPeer = errors.New("the certificate names no node")

// peer returns the name and the key of the node at the other end.
func (id *identity) peer(s tls.ConnectionState) (node string, key Key, err error) {
	if s.NegotiatedProtocol != streamProtocol || len(s.VerifiedChains) == 0 || len(s.PeerCertificates[0].DNSNames) != 1 {
		return "", Key{}, errPeer
	}
	chain := s.VerifiedChains[0]
	root := chain[len(chain)-1]
	id.mu.Lock()
	defer id.mu.Unlock()
	at := slices.IndexFunc(id.authorities, func(a *authority) bool { return bytes.Equal(a.cert.Raw, root.Raw) })
	if at < 0 {
		return "", Key{}, errPeer // the key is gone since
	}
	return s.PeerCertificates[0].DNSNames[0], id.authorities[at].key, nil
}

// has says whether a key is one of the cluster's.
func (id *identity) has(k Key) bool {
	id.mu.Lock()
	defer id.mu.Unlock()
	return slices.ContainsFunc(id.authorities, func(a *authority) bool { return a.key == k })
}
