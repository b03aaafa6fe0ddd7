package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/starling-mail/starling/admin"
	"github.com/starling-mail/starling/cluster"
)

func TestDescribeKeys(t *testing.T) {
	a, b, c := cluster.NewKey().Fingerprint(), cluster.NewKey().Fingerprint(), cluster.NewKey().Fingerprint()
	got := describeKeys([]cluster.Member{
		{Name: "n1", Keys: []cluster.Fingerprint{b, a}},
		{Name: "n2", Self: true, Keys: []cluster.Fingerprint{a, c}},
		{Name: "n3"},
	})
	want := []admin.ClusterKey{
		{Fingerprint: a.String(), Here: true, UsedBy: []string{"n2"}, HadBy: []string{"n1"}, UnknownOn: []string{"n3"}},
		{Fingerprint: c.String(), Here: true, HadBy: []string{"n2"}, MissingOn: []string{"n1"}, UnknownOn: []string{"n3"}},
		{Fingerprint: b.String(), UsedBy: []string{"n1"}, MissingOn: []string{"n2"}, UnknownOn: []string{"n3"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant\n%+v", got, want)
	}
}

// TestReplaceFile: mode and links stay, nothing is left behind, and a failure changes nothing.
func TestReplaceFile(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.WriteFile(real, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(real, 0o440); err != nil { // whatever the umask
		t.Fatal(err)
	}
	if err := os.Symlink("real", link); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(link, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(real); err != nil || string(b) != "new" {
		t.Errorf("%q, %v", b, err)
	}
	if info, err := os.Stat(real); err != nil || info.Mode() != 0o440 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Error("the link is gone")
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 2 {
		t.Errorf("%v, %v", list, err)
	}
	if err := replaceFile(filepath.Join(dir, "nowhere"), nil); err == nil {
		t.Error("a file that is not there was replaced")
	}
}

const statusText = `node n1, version v1, instance 00000000000000aa: serving
3 losses, 1 streams refused, 0 conflicts of names, 0 events too large, 2 events wait for listeners here
the feed was read 7 times, last 0s ago: 4 events came from there alone, 0 reloads
gossip: 9 received, 1 events before a stream, 0 dropped, 5 queued

TO  STATE     STREAM  OPENED  CODEC    ROUND TRIP  SENT  LAST  QUEUED  DROPPED  WITHHELD
n2  draining  open    2       msgpack  0s          100   99    6       7        8
n3  serving   closed  0       -        0s          0     -     0       0        0

FROM  STATE     STREAM  RECEIVED  LAST  LOSSES  REPEATED  UNKNOWN  TRAILING  UNDECODABLE
n2    draining  open    50        49    3       1         0        2         0
n3    serving   closed  0         -     0       0         0        0         0
`

func TestShowStatus(t *testing.T) {
	var out bytes.Buffer
	err := showStatus(&out, admin.Cluster{
		Joined: true, Losses: 3, Refused: 1, BusQueued: 2, Repairs: 7, Repaired: 4, Gossip: admin.Broadcasts{Received: 9, First: 1, Queued: 5},
		Members: []admin.Member{
			{Name: "n1", Self: true, Version: "v1", Instance: "00000000000000aa"},
			{Name: "n2", Draining: true, Sending: true, Connects: 2, Codec: "msgpack", Sent: 100, NextSent: 100, Queued: 6, Dropped: 7, Withheld: 8,
				Receiving: true, Received: 50, NextReceived: 50, Losses: 3, Repeated: 1, Trailing: 2},
			{Name: "n3"},
		},
	})
	if err != nil || out.String() != statusText {
		t.Errorf("%v\n%s", err, out.String())
	}
}
