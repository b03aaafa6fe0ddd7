package stream

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writePair writes a self-signed certificate for name and its key.
func writePair(t testing.TB, dir, name string, serial int64) KeyPair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p := KeyPair{Cert: filepath.Join(dir, name+".crt"), Key: filepath.Join(dir, name+".key")}
	writePEM(t, p.Cert, "CERTIFICATE", der)
	writePEM(t, p.Key, "PRIVATE KEY", secret)
	return p
}

func writePEM(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func certificates(t testing.TB, names ...string) *Certificates {
	t.Helper()
	dir := t.TempDir()
	var pairs []KeyPair
	for _, n := range names {
		pairs = append(pairs, writePair(t, dir, n, 1))
	}
	c, err := LoadCertificates(pairs...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// shown returns what a client that asks for name is shown.
func shown(t *testing.T, config *tls.Config, client *tls.Config) tls.ConnectionState {
	t.Helper()
	near, far := loopback(t)
	s := tls.Server(far, config)
	go func() {
		if s.Handshake() == nil {
			s.Write([]byte("x")) // the ticket comes before it
		}
	}()
	c := tls.Client(near, client)
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return c.ConnectionState()
}

func TestServerName(t *testing.T) {
	config := certificates(t, "one.example", "two.example").Config()
	for asked, want := range map[string]string{
		"one.example":   "one.example",
		"two.example":   "two.example",
		"three.example": "one.example",
		"":              "one.example",
	} {
		state := shown(t, config, &tls.Config{ServerName: asked, InsecureSkipVerify: true})
		if got := state.PeerCertificates[0].DNSNames[0]; got != want {
			t.Errorf("asked for %q, shown %s", asked, got)
		}
	}
}

func TestReload(t *testing.T) {
	dir := t.TempDir()
	pair := writePair(t, dir, "mail.example", 1)
	c, err := LoadCertificates(pair)
	if err != nil {
		t.Fatal(err)
	}
	config := c.Config() // made once, before
	client := &tls.Config{InsecureSkipVerify: true}
	serial := func() int64 { return shown(t, config, client).PeerCertificates[0].SerialNumber.Int64() }

	writePair(t, dir, "mail.example", 2)
	if got := serial(); got != 1 {
		t.Errorf("before Reload certificate %d is shown", got)
	}
	if err := c.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != 2 {
		t.Errorf("after Reload certificate %d is shown", got)
	}
	if err := os.WriteFile(pair.Key, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.Reload(); err == nil || !strings.Contains(err.Error(), pair.Key) {
		t.Errorf("Reload of a broken key: %v", err)
	}
	if got := serial(); got != 2 {
		t.Errorf("after a Reload that failed certificate %d is shown", got)
	}
}

func TestTicketsOutliveReload(t *testing.T) {
	c := certificates(t, "mail.example")
	config := c.Config()
	client := &tls.Config{ServerName: "mail.example", InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	if shown(t, config, client).DidResume {
		t.Fatal("resumed what never was")
	}
	if err := c.Reload(); err != nil {
		t.Fatal(err)
	}
	if !shown(t, config, client).DidResume {
		t.Error("a session was not resumed after Reload")
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	near, far := loopback(t)
	config := certificates(t, "mail.example").Config()
	go tls.Server(far, config).Handshake()
	if err := tls.Client(near, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}).Handshake(); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
}

func TestLoadCertificatesFaults(t *testing.T) {
	if _, err := LoadCertificates(); err == nil {
		t.Error("no certificate at all is no fault")
	}
	_, err := LoadCertificates(KeyPair{"nowhere.crt", "nowhere.key"}, KeyPair{"nothing.crt", "nothing.key"})
	if err == nil || !strings.Contains(err.Error(), "nowhere.crt") || !strings.Contains(err.Error(), "nothing.crt") {
		t.Errorf("want both faults: %v", err)
	}
}
