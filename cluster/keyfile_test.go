package cluster

import (
	"slices"
	"strings"
	"testing"
)

// TestKeyFile rotates the keys of a file in which people have written, and refuses what
// would leave the node without a key.
func TestKeyFile(t *testing.T) {
	a, b, c := NewKey(), NewKey(), NewKey()
	file := []byte("# made by ada\n\n" + a.String() + "\n# of last week\n" + b.String()) // no line end
	step := func(what string, out []byte, err error, want ...Key) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		keys, err := ParseKeys(out)
		if err != nil || !slices.Equal(keys, want) {
			t.Fatalf("%s: %v\n%s", what, err, out)
		}
		for _, comment := range []string{"# made by ada\n", "# of last week\n"} {
			if !strings.Contains(string(out), comment) {
				t.Errorf("%s: %q is gone", what, comment)
			}
		}
		file = out
	}
	out, err := AddKey(file, c)
	step("add", out, err, a, b, c)
	out, err = AddKey(file, c)
	step("add again", out, err, a, b, c)
	out, err = UseKey(file, c.Fingerprint())
	step("use", out, err, c, a, b)
	out, err = UseKey(file, c.Fingerprint())
	step("use again", out, err, c, a, b)
	out, err = RemoveKey(file, b.Fingerprint())
	step("remove the last", out, err, c, a)
	out, err = RemoveKey(file, a.Fingerprint())
	step("remove", out, err, c)

	if _, err := RemoveKey(file, c.Fingerprint()); err == nil {
		t.Error("the key in use was removed")
	}
	for what, f := range map[string]func([]byte, Fingerprint) ([]byte, error){"use": UseKey, "remove": RemoveKey} {
		if _, err := f(file, a.Fingerprint()); err == nil {
			t.Errorf("%s of a key that is not there", what)
		}
		if _, err := f([]byte("# none\n"), a.Fingerprint()); err == nil {
			t.Errorf("%s in a file without keys", what)
		}
	}
	if _, err := AddKey([]byte("not a key\n"), a); err == nil {
		t.Error("a key was added to what is no file of keys")
	}
	full := file
	for range maxKeys - 1 {
		if full, err = AddKey(full, NewKey()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := AddKey(full, NewKey()); err == nil {
		t.Error("more keys than a cluster may have")
	}
}

func TestFingerprint(t *testing.T) {
	k := NewKey()
	f, err := ParseFingerprint(k.Fingerprint().String())
	if err != nil || f != k.Fingerprint() || f == NewKey().Fingerprint() {
		t.Errorf("%v, %v", f, err)
	}
	for _, s := range []string{"", "abc", "00000000000000zz", "000000000000000000"} {
		if _, err := ParseFingerprint(s); err == nil {
			t.Errorf("%q is a fingerprint", s)
		}
	}
}
