package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"text/template"
	"time"

	"github.com/starling-mail/starling/admin"
)

// quickstartConfig is the configuration that a quick start begins with.
//
//go:embed quickstart.toml
var quickstartConfig []byte

// quickstartText is what a quick start prints.
//
//go:embed quickstart.txt
var quickstartText string

// quickstartUser is the first user. It may be given with or without the
// domain, which is the default one.
const quickstartUser = "alice@localhost"

// A quickstart is a data folder that is ready to serve.
type quickstart struct {
	program, config string // how to call the subcommands
}

// prepare makes what is missing in the data folder and points the app to its
// configuration.
func (a *app) prepare(data string) (*quickstart, error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	a.configFile = filepath.Join(data, "config.toml")
	if err := writeNew(a.configFile, quickstartConfig); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err := selfSigned(filepath.Join(data, "tls.crt"), filepath.Join(data, "tls.key")); err != nil {
		return nil, err
	}
	return &quickstart{os.Args[0], a.configFile}, nil
}

// writeNew writes a file that only we may read, and that must be new.
func writeNew(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

// certificateLife is how long a self-signed certificate is good for.
const certificateLife = 10 * 365 * 24 * time.Hour

// selfSigned makes a certificate for this machine, and further addresses of it, unless
// there is one.
func selfSigned(certFile, keyFile string, more ...net.IP) error {
	if _, err := os.Stat(certFile); err == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return err
	}
	names := []string{"localhost"}
	if name, err := os.Hostname(); err == nil && name != "localhost" {
		names = append(names, name)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "localhost"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(certificateLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              names,
		IPAddresses:           append([]net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, more...),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	// The certificate comes last: it says that both are there.
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o644)
}

// introduce makes the first user, if there is none, and says how to begin.
func (q *quickstart) introduce(ctx context.Context, c admin.Control, w io.Writer) error {
	users, err := c.Users(ctx)
	if err != nil {
		return err
	}
	about := struct{ User, Password, Program, Config string }{quickstartUser, "", q.program, q.config}
	if len(users) == 0 {
		about.Password = rand.Text()
		if _, err := c.AddUser(ctx, admin.NewUser{Name: about.User, Password: about.Password}); err != nil {
			return fmt.Errorf("add user %s: %w", about.User, err)
		}
	} else {
		about.User = users[0].Name
	}
	t, err := template.New("quickstart").Parse(quickstartText)
	if err != nil {
		return err
	}
	return t.Execute(w, about)
}
