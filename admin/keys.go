package admin

import (
	"context"
	"net/url"
	"time"
)

// A Keyring are the cluster's keys as the running server has them, in memory and in its file. Keys are called by their fingerprints, which
// tell nothing about them. What it does concerns this node alone; the others are asked, by what gossip knows of them, whether it is
// safe. Kinds: Cannot where no server runs that is in a cluster, or it would part the cluster; NonExistent where there is no such key.
type Keyring interface {
	// Keys returns the keys, the one in use first.
	Keys(ctx context.Context) ([]ClusterKey, error)
	// AddKey makes the node accept a key, written as in the file, besides those it has. It is no error if it does.
	AddKey(ctx context.Context, key string) error
	// UseKey makes the node use a key. It is refused while another member does not have the key, or does not tell.
	UseKey(ctx context.Context, fingerprint string, how KeyChange) error
	// RemoveKey makes the node no longer accept a key. It is refused while another member uses it, or does not tell; and always
	// while this node does.
	RemoveKey(ctx context.Context, fingerprint string, how KeyChange) error
}

// A KeyChange says what to do about members that stand against it.
type KeyChange struct {
	Wait  time.Duration `json:"wait"`  // how long to wait for them: what they have done takes a moment to be heard of
	Force bool          `json:"force"` // do it all the same, at once: they are left behind
}

// A ClusterKey is a key of the cluster's.
type ClusterKey struct {
	Fingerprint string   `json:"fingerprint"`
	Here        bool     `json:"here"`              // this node has it
	UsedBy      []string `json:"used_by,omitempty"` // nodes
	HadBy       []string `json:"had_by,omitempty"`  // nodes that use another
	MissingOn   []string `json:"missing_on,omitempty"`
	UnknownOn   []string `json:"unknown_on,omitempty"` // nodes of a version that does not tell
}

// Keys implements Control.
func (s *Service) Keys(ctx context.Context) ([]ClusterKey, error) {
	r, err := s.running("list keys")
	if err != nil {
		return nil, err
	}
	return r.Keys(ctx)
}

// AddKey implements Control.
func (s *Service) AddKey(ctx context.Context, key string) error {
	r, err := s.running("add key")
	if err != nil {
		return err
	}
	return r.AddKey(ctx, key)
}

// UseKey implements Control.
func (s *Service) UseKey(ctx context.Context, fingerprint string, how KeyChange) error {
	r, err := s.running("use key")
	if err != nil {
		return err
	}
	return r.UseKey(ctx, fingerprint, how)
}

// RemoveKey implements Control.
func (s *Service) RemoveKey(ctx context.Context, fingerprint string, how KeyChange) error {
	r, err := s.running("remove key")
	if err != nil {
		return err
	}
	return r.RemoveKey(ctx, fingerprint, how)
}

// Keys implements Control.
func (c *Client) Keys(ctx context.Context) (list []ClusterKey, err error) {
	return list, c.ask(ctx, "GET", "cluster/keys", none{}, &list)
}

// AddKey implements Control.
func (c *Client) AddKey(ctx context.Context, key string) error {
	return c.ask(ctx, "POST", "cluster/keys", keyRequest{key}, &none{})
}

// UseKey implements Control.
func (c *Client) UseKey(ctx context.Context, fingerprint string, how KeyChange) error {
	return c.ask(ctx, "PUT", "cluster/keys/"+url.PathEscape(fingerprint), how, &none{})
}

// RemoveKey implements Control.
func (c *Client) RemoveKey(ctx context.Context, fingerprint string, how KeyChange) error {
	return c.ask(ctx, "DELETE", "cluster/keys/"+url.PathEscape(fingerprint), how, &none{})
}
