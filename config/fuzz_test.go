package config

import (
	"testing"

	"github.com/BurntSushi/toml"
)

// FuzzParse: any document is accepted or refused with a fault on a line that
// it has, and the line index knows every key that the TOML parser finds.
func FuzzParse(f *testing.F) {
	f.Add("[server]\nhostname = 'a'\n[[listen]]\naddress=':1'\nprotocol='imap'\n")
	f.Add("tls.certificates = [{cert='a', key=\"b\"}, # x\n]\n")
	f.Add("a.\"b c\" = '''\n''''\n'd' = [[1,2],[{e=[1]}]]\n[[x.y]]\n[x.y.z]\n")
	f.Add("server = {hostname = \"\"\"\\\"\"\"\"}")
	f.Fuzz(func(t *testing.T, doc string) {
		found := indexLines(doc)
		var tree map[string]any
		md, err := toml.Decode(doc, &tree)
		if err == nil {
			for _, k := range md.Keys() {
				if len(k) == 1 && found[k[0]] == 0 {
					t.Errorf("no line for key %q", k[0])
				}
			}
		}
		_, err = Parse("", []byte(doc))
		if faults, ok := err.(Faults); err != nil && (!ok || len(faults) == 0) {
			t.Errorf("an error without faults: %v", err)
		}
	})
}

// FuzzSize: what String writes is what ParseSize reads.
func FuzzSize(f *testing.F) {
	f.Add("64MiB")
	f.Add("none")
	f.Add("9223372036854775807")
	f.Add("8388608TiB")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseSize(s)
		if err != nil {
			return
		}
		if again, err := ParseSize(n.String()); err != nil || again != n {
			t.Errorf("%q is %d, written %q, read again %d %v", s, n, n, again, err)
		}
	})
}
