package config

import (
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// others is the permission of everybody to read a file.
const others fs.FileMode = 0o004

// Exposed looks at a configuration that Load has accepted and warns of secrets
// that every user of the machine can read: those that stand in the file, if that can be
// read by all, and those in a "file:" that can.
func Exposed(path string) Faults {
	doc, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var tree map[string]any
	if err := toml.Unmarshal(doc, &tree); err != nil {
		return nil
	}
	d := decoder{file: path, lines: indexLines(string(doc))}
	d.exposed("", tree, reflect.TypeFor[Config]())
	slices.SortFunc(d.faults, func(a, b Fault) int { return a.Line - b.Line })
	return d.faults
}

// exposed looks at the secrets of one table.
func (d *decoder) exposed(path string, tree map[string]any, t reflect.Type) {
	for name, f := range fieldsOf(t) {
		key := join(path, name)
		switch x := tree[name].(type) {
		case map[string]any:
			if f.Type.Kind() == reflect.Struct {
				d.exposed(key, x, f.Type)
			}
		case []map[string]any, []any:
			if f.Type.Kind() != reflect.Slice || f.Type.Elem().Kind() != reflect.Struct {
				continue
			}
			elements, _ := sliceOf(x)
			for i, e := range elements {
				if tree, ok := e.(map[string]any); ok {
					d.exposed(key+"["+strconv.Itoa(i)+"]", tree, f.Type.Elem())
				}
			}
		case string:
			file := d.file
			if f.Tag.Get("secret") == "" || x == "" || strings.HasPrefix(x, "env:") {
				continue
			}
			if name, ok := strings.CutPrefix(x, "file:"); ok {
				file = name
			}
			if info, err := os.Stat(file); err == nil && info.Mode()&others != 0 {
				d.fault(key, "every user of this machine can read it in %s (mode %04o): chmod o-r", file, info.Mode().Perm())
			}
		}
	}
}
