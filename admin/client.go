package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/quota"
	"github.com/starling-mail/starling/transfer"
)

// A Client is the Control of a running server.
type Client struct{ http *http.Client }

var _ Control = (*Client)(nil)

// Dial connects to the control socket at path. It returns an error if nobody
// listens there.
func Dial(ctx context.Context, path string) (*Client, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	conn.Close()
	return &Client{&http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", path)
		},
	}}}, nil
}

// Close implements Control.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// do sends a request and returns a successful answer, whose body the caller
// closes.
func (c *Client) do(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://control/v1/"+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := c.http.Do(req)
	if err != nil {
		if ue, ok := err.(*url.Error); ok {
			err = ue.Err // its URL means nothing to people
		}
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	var e errorBody
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxRequest)).Decode(&e); err != nil || e.Text == "" {
		return nil, fmt.Errorf("control socket: %s", resp.Status)
	}
	return nil, e.err()
}

// ask sends a JSON value and reads another into out.
func (c *Client) ask(ctx context.Context, method, path string, in, out any) error {
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	resp, err := c.do(ctx, method, path, "application/json", bytes.NewReader(b))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(out)
}

// follow sends a JSON value and hands each item of the answer to take, until it returns
// false.
func follow[T any](ctx context.Context, c *Client, method, path string, in any, take func(T) bool) error {
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	resp, err := c.do(ctx, method, path, "application/json", bytes.NewReader(b))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := json.NewDecoder(resp.Body)
	for {
		var l line[T]
		err := lines.Decode(&l)
		switch {
		case err == io.EOF:
			return errCutOff
		case err != nil:
			return fmt.Errorf("%w: %w", errCutOff, err)
		case l.Err != nil:
			return l.Err.err()
		case l.Done:
			return nil
		case l.Item != nil && !take(*l.Item):
			return nil
		}
	}
}

func userPath(user, rest string) string { return "users/" + url.PathEscape(user) + rest }

// Users implements Control.
func (c *Client) Users(ctx context.Context) (list []User, err error) {
	return list, c.ask(ctx, "GET", "users", none{}, &list)
}

// AddUser implements Control.
func (c *Client) AddUser(ctx context.Context, u NewUser) (made User, err error) {
	return made, c.ask(ctx, "POST", "users", u, &made)
}

// SetPassword implements Control.
func (c *Client) SetPassword(ctx context.Context, user, password string) error {
	return c.ask(ctx, "PUT", userPath(user, "/password"), passwordRequest{password}, &none{})
}

// SetDisabled implements Control.
func (c *Client) SetDisabled(ctx context.Context, user string, disabled bool) error {
	return c.ask(ctx, "PUT", userPath(user, "/disabled"), disabledRequest{disabled}, &none{})
}

// SetAliases implements Control.
func (c *Client) SetAliases(ctx context.Context, user string, aliases []string) error {
	return c.ask(ctx, "PUT", userPath(user, "/aliases"), aliasesRequest{aliases}, &none{})
}

// RemoveUser implements Control.
func (c *Client) RemoveUser(ctx context.Context, user string) error {
	return c.ask(ctx, "DELETE", userPath(user, ""), none{}, &none{})
}

// Quota implements Control.
func (c *Client) Quota(ctx context.Context, user string) (q mailbox.Quota, err error) {
	return q, c.ask(ctx, "GET", userPath(user, "/quota"), none{}, &q)
}

// SetQuota implements Control.
func (c *Client) SetQuota(ctx context.Context, user string, l *mailbox.QuotaLimits) error {
	return c.ask(ctx, "PUT", userPath(user, "/quota"), quotaRequest{l}, &none{})
}

// Recount implements Control.
func (c *Client) Recount(ctx context.Context, users []string, mend bool, report func(quota.Recounted)) (sum quota.Summary, err error) {
	err = follow(ctx, c, "POST", "recount", recountRequest{users, mend}, func(r recounted) bool {
		if r.Summary != nil {
			sum = *r.Summary
			return true
		}
		report(quota.Recounted{User: r.User, Was: r.Was, Is: r.Is, Err: r.Err.err()})
		return true
	})
	return sum, err
}

// Deliver implements Control.
func (c *Client) Deliver(ctx context.Context, to, from string, r io.Reader) error {
	q := url.Values{"to": {to}, "from": {from}}
	resp, err := c.do(ctx, "POST", "deliver?"+q.Encode(), "message/rfc822", r)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Check implements Control.
func (c *Client) Check(ctx context.Context, o mailstore.CheckOptions, report func(mailstore.Finding)) error {
	return follow(ctx, c, "POST", "check", checkRequest(o), func(f mailstore.Finding) bool {
		report(f)
		return true
	})
}

// Backup implements Control.
func (c *Client) Backup(ctx context.Context, folder string) error {
	return c.ask(ctx, "POST", "backup", backupRequest{folder}, &none{})
}

// Mail implements Control.
func (c *Client) Mail(ctx context.Context, user string) (transfer.Store, error) {
	var account string
	if err := c.ask(ctx, "GET", userPath(user, "/account"), none{}, &account); err != nil {
		return nil, err
	}
	id, err := mailbox.ParseAccountID(account)
	if err != nil {
		return nil, err
	}
	return &remoteMail{c, id}, nil
}
