package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name, doc string
		want      []string // prefixes of the faults, in order
	}{
		{"empty", "", nil},
		{"syntax", "[server]\nhostname = \n", []string{"f.toml:2: server.hostname: expected value"}},
		{"syntax in table", "[server\n", []string{"f.toml:2: "}},
		{"unknown section", "\n[sever]\nx = 1\n", []string{"f.toml:2: sever: unknown key; allowed here: admin, auth, "}},
		{"unknown key", "[server]\nhostname='a'\nhost='b'\n", []string{"f.toml:3: server.host: unknown key; allowed here: control_socket, "}},
		{"unknown dotted key", "server.host = 'b'\n", []string{"f.toml:1: server.host: unknown key"}},
		{"many at once", `
[server]
log_level = "loud"
data_dir = 5

[imap]
login_timeout = "0s"    # too short
autologout = "soon"
max_per_user = "many"
append_limit = "64 elephants"
compress = "yes"
`, []string{
			`f.toml:3: server.log_level: "loud"; allowed: debug, info, warn, error`,
			`f.toml:4: server.data_dir: 5 is not a string`,
			`f.toml:7: imap.login_timeout: "0s"; allowed: a duration such as "30s", "20ms" or "7d", from 1s to 1h`,
			`f.toml:8: imap.autologout: "soon" is not a duration; allowed: `,
			`f.toml:9: imap.max_per_user: many is not a whole number; allowed: a whole number, from 1 to `,
			`f.toml:10: imap.append_limit: "64 elephants" is not a size; allowed: a size`,
			`f.toml:11: imap.compress: yes is neither true nor false; allowed: true or false`,
		}},
		{"listeners", `
[[listen]]
address = "127.0.0.1:143"
protocol = "imap"
proxy_from = ["10.0.0.0/8", "nowhere"]
[[listen]]
address = "127.0.0.1:143"
protocol = "pop3"
[[listen]]
address = "here"
[[listen]]
address = "unix:x.sock"
protocol = "lmtp"
proxy_from = ["10.0.0.0/8"]
`, []string{
			`f.toml:5: listen[0].proxy_from[1]: nowhere is not right; allowed: an address range such as "10.0.0.0/8"`,
			`f.toml:7: listen[1].address: "127.0.0.1:143" is the address of listen[0] too`,
			`f.toml:8: listen[1].protocol: "pop3"; allowed: imap, imaps, lmtp`,
			`f.toml:9: listen[2].protocol: is missing`,
			`f.toml:10: listen[2].address: "here" has no port`,
			`f.toml:14: listen[3].proxy_from: serves imap and imaps on TCP only`,
		}},
		{"no listener", "listen = []\n", []string{"f.toml:1: listen: there must be at least one"}},
		{"imaps without certificate", "[tls]\ncertificates = []\n[[listen]]\naddress=':993'\nprotocol='imaps'\n",
			[]string{"f.toml:5: listen[0].protocol: imaps needs tls.certificates"}},
		{"certificate without key", "[tls]\ncertificates = [\n {cert='a', key='b'},\n {cert='c'},\n]\n",
			[]string{"f.toml:4: tls.certificates[1]: needs both cert and key"}},
		{"unknown key in a list", "[tls]\ncertificates = [\n {cert='a',\n kee='b'},\n]\n",
			[]string{"f.toml:3: tls.certificates[0]: needs both", "f.toml:4: tls.certificates[0].kee: unknown key; allowed here: cert, key"}},
		{"table wanted", "server = 1\n", []string{"f.toml:1: server: must be a table"}},
		{"list wanted", "tls.certificates = 'x'\n", []string{"f.toml:1: tls.certificates: must be a list of tables"}},
		{"postgres without a database", "[store]\nkind = 'postgres'\n", []string{`f.toml:1: store.postgres.dsn: must not be empty`}},
		{"admin", "[admin]\nlisten = '8993'\ntrusted = ['here']\n", []string{`f.toml:2: admin.listen: "8993" has no port`, `f.toml:3: admin.trusted`}},
		{"cluster over sqlite", "[cluster]\nenabled = true\n",
			[]string{`f.toml:2: cluster.enabled: needs store.kind = "postgres": several nodes must share one database, and sqlite has one process only`}},
		{"cluster", `
[store]
kind = "postgres"
[store.postgres]
dsn = "host=db"
connections = 0
[cluster]
enabled = true
keys_file = ""
gossip = "node1:7946"
advertise_stream = "0.0.0.0:7947"
join = ["10.0.0.1", ""]
codec = "xml"
`, []string{
			`f.toml:4: store.postgres.blobs: must name a folder that all nodes of the cluster share, or store.s3 an object store`,
			`f.toml:6: store.postgres.connections: 0; allowed: a whole number, from 1 to 10000`,
			`f.toml:9: cluster.keys_file: must not be empty`,
			`f.toml:10: cluster.gossip: "node1:7946"; allowed: a numeric host:port`,
			`f.toml:11: cluster.advertise_stream: "0.0.0.0:7947"; allowed: an address that others can reach`,
			`f.toml:12: cluster.join[1]: must not be empty`,
			`f.toml:13: cluster.codec: "xml"; allowed: msgpack, json`,
		}},
		{"shards", `
[store]
kind = "sqlite"
[store.postgres]
dsn = "host=db"
[[store.shards]]
name = "a_b"
dsn = "host=db"
connections = 0
closed = true
[[store.shards]]
name = "c"
dsn = "host=db"
closed = true
[[store.shards]]
name = "c"
closed = true
`, []string{
			`f.toml:5: store.postgres.dsn: the databases are either this one or store.shards`,
			`f.toml:6: store.shards: needs store.kind = "postgres"`,
			`f.toml:6: store.shards: all are closed`,
			`f.toml:7: store.shards[0].name: "a_b"; allowed: lower-case letters`,
			`f.toml:9: store.shards[0].connections: 0; allowed: a whole number, from 1 to 10000`,
			`f.toml:13: store.shards[1].dsn: is that of another shard too`,
			`f.toml:15: store.shards[2].dsn: must not be empty`,
			`f.toml:16: store.shards[2].name: "c" is there twice`,
		}},
		{"object store", `
[store]
kind = "sqlite"
[store.postgres]
blobs = "/srv/blobs"
[store.s3]
endpoint = "https://s3.example.org"
access_key = "a"
ca_file = "ca.pem"
tls = false
part_size = "1MiB"
`, []string{
			`f.toml:5: store.postgres.blobs: large messages are either in this folder or in store.s3`,
			`f.toml:6: store.s3.bucket: must not be empty`,
			`f.toml:6: store.s3.secret_key: access_key and secret_key go together`,
			`f.toml:7: store.s3.endpoint: needs store.kind = "postgres": sqlite keeps large messages in data_dir`,
			`f.toml:7: store.s3.endpoint: "https://s3.example.org"; allowed: a host or host:port; tls says whether it is https`,
			`f.toml:9: store.s3.ca_file: serves tls only`,
			`f.toml:11: store.s3.part_size: "1MiB"; allowed: a size`,
		}},
		{"bucket of no object store", "[store.s3]\nbucket = 'mail'\n", []string{`f.toml:1: store.s3.endpoint: must not be empty where there is a bucket or a key`}},
		{"no lanes", "[cluster]\nlanes = []\n", []string{`f.toml:2: cluster.lanes: must name streams, broadcast or both`}},
		{"lanes", "[cluster]\nlanes = ['broadcast', 'tcp', 'broadcast']\nmode = 'interest'\n", []string{
			`f.toml:2: cluster.lanes[1]: "tcp"; allowed: streams, broadcast`,
			`f.toml:2: cluster.lanes[2]: "broadcast" is there twice`,
			`f.toml:3: cluster.mode: "interest" needs the lane streams`,
		}},
		{"mode", "[cluster]\nmode = 'quiet'\n", []string{`f.toml:2: cluster.mode: "quiet"; allowed: broadcast, interest`}},
		{"mailboxes", "[mailboxes]\ndefault = [\n{name='Inbox'},\n{name='A',use='\\Sent'},\n{name='A',use='\\Sent'},{use='\\All'}]\n", []string{
			`f.toml:3: mailboxes.default[0].name: INBOX is there in any case`,
			`f.toml:5: mailboxes.default[2].name: "A" is there twice`,
			`f.toml:5: mailboxes.default[2].use: "\\Sent" is given twice`,
			`f.toml:5: mailboxes.default[3].name: is missing`,
			`f.toml:5: mailboxes.default[3].use: "\\All"; allowed: \Archive`,
		}},
		{"lines after long strings", "[server]\nhostname = \"\"\"\na # b\n\\\"\"\"\"\nlog_level = 'x'\n", []string{"f.toml:5: server.log_level"}},
		{"absent variable", "[server]\nhostname = 'env:STARLING_TEST_ABSENT'\n",
			[]string{"f.toml:2: server.hostname: the environment has no variable STARLING_TEST_ABSENT"}},
		{"absent file", "[server]\nhostname = 'file:/nonexistent/x'\n", []string{"f.toml:2: server.hostname: stat /nonexistent/x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("f.toml", []byte(c.doc))
			var got []string
			if err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if len(got) != len(c.want) {
				t.Fatalf("got %d faults:\n%s\nwant %d", len(got), strings.Join(got, "\n"), len(c.want))
			}
			for i := range got {
				if !strings.HasPrefix(got[i], c.want[i]) {
					t.Errorf("fault %d: %s\nwant: %s...", i, got[i], c.want[i])
				}
			}
		})
	}
}

func TestValuesFromElsewhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "name")
	if err := os.WriteFile(path, []byte("mail.example.org\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("T_LIMIT", "1MiB")
	t.Setenv("T_MANY", "17")
	t.Setenv("T_NO", "false")
	t.Setenv("T_SHORT", "3s")
	c, err := Parse("", []byte("server.hostname = 'file:"+path+"'\n[imap]\nappend_limit='env:T_LIMIT'\nmax_per_user='env:T_MANY'\n"+
		"compress='env:T_NO'\nlogin_timeout='env:T_SHORT'\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Server.Hostname = "mail.example.org"
	want.IMAP.AppendLimit = 1 << 20
	want.IMAP.MaxPerUser = 17
	want.IMAP.Compress = false
	want.IMAP.LoginTimeout = 3 * time.Second
	if diff := cmp.Diff(want, c, cmp.Comparer(samePrefix)); diff != "" {
		t.Error(diff)
	}
	t.Setenv("T_MANY", "0")
	if _, err := Parse("", []byte("imap.max_per_user='env:T_MANY'\n")); err == nil || !strings.Contains(err.Error(), "from 1 to") {
		t.Errorf("bounds of a value from the environment: %v", err)
	}
}

// TestDefaultsAreAllowed writes the defaults' scalars through their own checks.
func TestDefaultsAreAllowed(t *testing.T) {
	c := Default()
	d := decoder{}
	for _, k := range keysOf(t, c) {
		d.bounds(k.path, k.value, k.tag)
	}
	d.check(c)
	if len(d.faults) > 0 {
		t.Error(d.faults)
	}
}

// TestLongSocketPaths: a path that no socket can have is found before the
// server starts.
func TestLongSocketPaths(t *testing.T) {
	folder := filepath.Join(t.TempDir(), strings.Repeat("x", 100))
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "config.toml")
	if err := os.WriteFile(path, []byte("[server]\ndata_dir = 'mail'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(path)
	faults, ok := err.(Faults)
	if !ok || len(faults) != 2 || faults[0].Key != "listen[2].address" || faults[1].Key != "server.control_socket" || faults[1].Line != 1 {
		t.Error(err)
	}
}

func TestLoadResolvesPaths(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "config.toml")
	if err := os.WriteFile(path, []byte("server.data_dir = 'mail'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(folder, "mail")
	for _, p := range [][2]string{
		{c.Server.DataDir, data},
		{c.Server.ControlSocket, filepath.Join(data, "control.sock")},
		{c.TLS.Certificates[0].Key, filepath.Join(data, "tls.key")},
		{c.Listen[2].Address, "unix:" + filepath.Join(data, "lmtp.sock")},
	} {
		if p[0] != p[1] {
			t.Errorf("%s, want %s", p[0], p[1])
		}
	}
	if _, err := Load(filepath.Join(folder, "absent")); err == nil || !strings.HasSuffix(err.Error(), "absent: no such file or directory") {
		t.Error(err)
	}
}
