package config

import (
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestExample holds config.toml.example to the code: it gives every key, each
// with its default, and nothing else.
func TestExample(t *testing.T) {
	doc, err := os.ReadFile("../config.toml.example")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse("config.toml.example", doc)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), c, cmp.Comparer(samePrefix)); diff != "" {
		t.Errorf("not the defaults (-default +example):\n%s", diff)
	}
	written := indexLines(string(doc))
	for _, k := range keysOf(t, Default()) {
		if written[k.path] == 0 {
			t.Errorf("%s is missing; its default is %s", k.path, show(k.value))
		}
	}
	for i, line := range strings.Split(string(doc), "\n") {
		if len(line) > 110 {
			t.Errorf("line %d is longer than 110", i+1)
		}
	}
}

// A key is a leaf of a Config.
type key struct {
	path  string
	value reflect.Value
	tag   reflect.StructTag
}

// keysOf lists the leaves of a Config; of lists, those of the elements that
// are there. An empty string in an optional field of a list is no leaf.
func keysOf(t *testing.T, c *Config) []key {
	var list []key
	var walk func(path string, v reflect.Value, tag reflect.StructTag, inList bool)
	walk = func(path string, v reflect.Value, tag reflect.StructTag, inList bool) {
		switch v.Interface().(type) {
		case Size, Count, time.Duration, string, int, bool, netip.Prefix:
			list = append(list, key{path, v, tag})
			return
		}
		switch v.Kind() {
		case reflect.Struct:
			for f := range v.Type().Fields() {
				name := f.Tag.Get("toml")
				if name == "" {
					t.Fatalf("%s.%s has no key", v.Type(), f.Name)
				}
				if inList && v.FieldByIndex(f.Index).IsZero() {
					continue
				}
				walk(join(path, name), v.FieldByIndex(f.Index), f.Tag, inList)
			}
		case reflect.Slice:
			if v.Len() == 0 {
				list = append(list, key{path, v, tag})
			}
			for i := range v.Len() {
				walk(fmt.Sprintf("%s[%d]", path, i), v.Index(i), "", true)
			}
		default:
			t.Fatalf("%s: a field of type %s", path, v.Type())
		}
	}
	walk("", reflect.ValueOf(c).Elem(), "", false)
	return list
}

func samePrefix(a, b netip.Prefix) bool { return a == b }
