package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/starling-mail/starling/admin"
	"github.com/starling-mail/starling/cluster"
	"github.com/starling-mail/starling/config"
	"github.com/starling-mail/starling/mailbox"
)

// askMembersEvery is how often it is looked whether the others have a key, or use another.
const askMembersEvery = 50 * time.Millisecond

// A keyring exchanges the cluster's keys on this node: in the file first, so that a
// restart does not go back, then in the running member.
type keyring struct {
	server *server
	mu     sync.Mutex // held while the file is read and written
}

var _ admin.Keyring = (*keyring)(nil)

func cannot(op, format string, v ...any) error {
	return &mailbox.Error{Kind: mailbox.Cannot, Op: op, Text: fmt.Sprintf(format, v...)}
}

// member returns the running member.
func (k *keyring) member(op string) (*cluster.Node, error) {
	if k.server.member == nil {
		return nil, cannot(op, "this server is in no cluster")
	}
	return k.server.member, nil
}

// Keys implements admin.Keyring.
func (k *keyring) Keys(context.Context) ([]admin.ClusterKey, error) {
	m, err := k.member("list keys")
	if err != nil {
		return nil, err
	}
	return describeKeys(m.Members()), nil
}

// describeKeys returns the keys that members have: those of this node first, in its
// order.
func describeKeys(members []cluster.Member) []admin.ClusterKey {
	var all []cluster.Fingerprint
	for _, self := range []bool{true, false} {
		for _, m := range members {
			for _, f := range m.Keys {
				if m.Self == self && !slices.Contains(all, f) {
					all = append(all, f)
				}
			}
		}
	}
	list := make([]admin.ClusterKey, 0, len(all))
	for _, f := range all {
		key := admin.ClusterKey{Fingerprint: f.String()}
		for _, m := range members {
			switch has := slices.Contains(m.Keys, f); {
			case len(m.Keys) == 0:
				key.UnknownOn = append(key.UnknownOn, m.Name)
			case !has:
				key.MissingOn = append(key.MissingOn, m.Name)
			case m.Keys[0] == f:
				key.UsedBy = append(key.UsedBy, m.Name)
			default:
				key.HadBy = append(key.HadBy, m.Name)
			}
			key.Here = key.Here || m.Self && slices.Contains(m.Keys, f)
		}
		list = append(list, key)
	}
	return list
}

// AddKey implements admin.Keyring.
func (k *keyring) AddKey(_ context.Context, text string) error {
	const op = "add key"
	keys, err := cluster.ParseKeys([]byte(text))
	if err != nil || len(keys) != 1 {
		return cannot(op, "want one key, as imapd cluster keys new makes it")
	}
	return k.change(op, func(file []byte) ([]byte, error) { return cluster.AddKey(file, keys[0]) })
}

// UseKey implements admin.Keyring.
func (k *keyring) UseKey(ctx context.Context, fingerprint string, how admin.KeyChange) error {
	const op = "use key"
	f, err := k.find(op, fingerprint)
	if err != nil {
		return err
	}
	err = k.await(ctx, op, how, func(m cluster.Member) string {
		if m.Self || slices.Contains(m.Keys, f) {
			return ""
		}
		return m.Name + " does not have it"
	})
	if err != nil {
		return err
	}
	return k.change(op, func(file []byte) ([]byte, error) { return cluster.UseKey(file, f) })
}

// RemoveKey implements admin.Keyring.
func (k *keyring) RemoveKey(ctx context.Context, fingerprint string, how admin.KeyChange) error {
	const op = "remove key"
	f, err := k.find(op, fingerprint)
	if err != nil {
		return err
	}
	err = k.await(ctx, op, how, func(m cluster.Member) string {
		if !m.Self && len(m.Keys) > 0 && m.Keys[0] == f {
			return m.Name + " uses it"
		}
		return ""
	})
	if err != nil {
		return err
	}
	return k.change(op, func(file []byte) ([]byte, error) { return cluster.RemoveKey(file, f) })
}

// find returns the key of this node that a fingerprint, or the beginning of one, means.
func (k *keyring) find(op, fingerprint string) (cluster.Fingerprint, error) {
	if _, err := k.member(op); err != nil {
		return cluster.Fingerprint{}, err
	}
	keys, err := clusterKeys(k.server.config.Load())
	if err != nil {
		return cluster.Fingerprint{}, cannot(op, "%v", err)
	}
	var found []cluster.Fingerprint
	for _, key := range keys {
		if f := key.Fingerprint(); fingerprint != "" && strings.HasPrefix(f.String(), fingerprint) {
			found = append(found, f)
		}
	}
	if len(found) != 1 {
		return cluster.Fingerprint{}, &mailbox.Error{Kind: mailbox.NonExistent, Op: op,
			Text: fmt.Sprintf("%d of this node's keys have a fingerprint that begins with %q", len(found), fingerprint)}
	}
	return found[0], nil
}

// await waits until nothing stands against it with any member. A member of a version
// that does not tell which keys it has always does.
func (k *keyring) await(ctx context.Context, op string, how admin.KeyChange, against func(cluster.Member) string) error {
	if how.Force {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, how.Wait)
	defer cancel()
	tick := time.NewTicker(askMembersEvery)
	defer tick.Stop()
	for {
		var why []string
		for _, m := range k.server.member.Members() {
			reason := against(m)
			if len(m.Keys) == 0 {
				reason = m.Name + " does not tell which keys it has"
			}
			if reason != "" {
				why = append(why, reason)
			}
		}
		if len(why) == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return cannot(op, "it would part the cluster: %s", strings.Join(why, ", "))
		}
	}
}

// reload takes over what the file has.
func (k *keyring) reload(c *config.Config) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	keys, err := clusterKeys(c)
	if err != nil {
		return err
	}
	return k.server.member.SetKeys(keys)
}

// change changes the file, and has the member take it over.
func (k *keyring) change(op string, edit func([]byte) ([]byte, error)) error {
	m, err := k.member(op)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	path := k.server.config.Load().Cluster.KeysFile
	old, err := os.ReadFile(path)
	if err != nil {
		return cannot(op, "%v", err)
	}
	next, err := edit(old)
	if err != nil {
		return cannot(op, "%s: %v", path, err)
	}
	keys, err := cluster.ParseKeys(next)
	if err != nil {
		return cannot(op, "%s: %v", path, err)
	}
	if string(next) != string(old) {
		if err := replaceFile(path, next); err != nil {
			return cannot(op, "%v", err)
		}
	}
	return m.SetKeys(keys)
}

// replaceFile replaces a file's content: it is the old or the new one whatever happens,
// and the new one when this returns. Mode and, where that is allowed, owner stay; a link is
// followed.
func replaceFile(path string, content []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	folder := filepath.Dir(path)
	tmp, err := os.CreateTemp(folder, filepath.Base(path)+".new-*") // of mode 0600
	if err != nil {
		return err
	}
	if err := errors.Join(fill(tmp, content, info), tmp.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return syncFolder(folder)
}

// fill writes content into a new file that is to look like another, down to the disk.
func fill(f *os.File, content []byte, like fs.FileInfo) error {
	if owner, ok := like.Sys().(*syscall.Stat_t); ok {
		if err := f.Chown(int(owner.Uid), int(owner.Gid)); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	if err := f.Chmod(like.Mode().Perm()); err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return err
	}
	return f.Sync()
}

// syncFolder makes a rename outlive a power loss.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
