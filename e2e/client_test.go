package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"slices"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/starling-mail/starling/e2e/node"
)

// trust is a TLS configuration that trusts the node's certificate and no other.
func trust(t *testing.T, n *node.Node) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(n.CertFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate in", n.CertFile)
	}
	return &tls.Config{RootCAs: pool, ServerName: "localhost"}
}

// dial connects over TLS, without a login. h may be nil.
func dial(t *testing.T, n *node.Node, h *imapclient.UnilateralDataHandler) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialTLS(n.IMAPS, &imapclient.Options{TLSConfig: trust(t, n), UnilateralDataHandler: h})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// login connects over TLS and logs the user in. h may be nil.
func login(t *testing.T, n *node.Node, h *imapclient.UnilateralDataHandler) *imapclient.Client {
	t.Helper()
	c := dial(t, n, h)
	if err := c.Login(user, password).Wait(); err != nil {
		t.Fatalf("login: %v", err)
	}
	return c
}

// store appends a message and returns what the server said of it.
func store(t *testing.T, c *imapclient.Client, box, text string, flags ...imap.Flag) *imap.AppendData {
	t.Helper()
	cmd := c.Append(box, int64(len(text)), &imap.AppendOptions{Flags: flags})
	if _, err := cmd.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := cmd.Wait()
	if err != nil {
		t.Fatalf("APPEND: %v", err)
	}
	return data
}

func open(t *testing.T, c *imapclient.Client, box string) *imap.SelectData {
	t.Helper()
	data, err := c.Select(box, nil).Wait()
	if err != nil {
		t.Fatalf("SELECT %s: %v", box, err)
	}
	return data
}

// flagsBySubject reads the whole of a mailbox: the flags of each subject, less
// \Recent, sorted. Subjects are unique in these tests.
func flagsBySubject(t *testing.T, c *imapclient.Client, box string) map[string][]imap.Flag {
	t.Helper()
	all := map[string][]imap.Flag{}
	if open(t, c, box).NumMessages == 0 {
		return all
	}
	list, err := c.Fetch(imap.SeqSet{{Start: 1}}, &imap.FetchOptions{Envelope: true, Flags: true}).Collect()
	if err != nil {
		t.Fatalf("FETCH: %v", err)
	}
	for _, m := range list {
		flags := []imap.Flag{}
		for _, f := range m.Flags {
			if f != `\Recent` {
				flags = append(flags, f)
			}
		}
		slices.Sort(flags)
		all[m.Envelope.Subject] = flags
	}
	return all
}

// subjects lists what is in a user's INBOX, in order.
func subjects(t *testing.T, n *node.Node) []string {
	t.Helper()
	c := login(t, n, nil)
	defer c.Close()
	var list []string
	if open(t, c, "INBOX").NumMessages == 0 {
		return list
	}
	all, err := c.Fetch(imap.SeqSet{{Start: 1}}, &imap.FetchOptions{Envelope: true}).Collect()
	if err != nil {
		t.Fatalf("FETCH: %v", err)
	}
	for _, m := range all {
		list = append(list, m.Envelope.Subject)
	}
	return list
}
