package config

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// Parse reads a TOML document over the defaults, with paths as they are
// written. Its error is of type Faults and holds every fault; file is what
// faults call the document.
func Parse(file string, doc []byte) (*Config, error) { return parse(file, doc, "") }

// parse is Parse with the folder that paths begin in; none if it is empty.
func parse(file string, doc []byte, folder string) (*Config, error) {
	c := Default()
	d := decoder{file: file, lines: indexLines(string(doc))}
	var tree map[string]any
	if err := toml.Unmarshal(doc, &tree); err != nil {
		return nil, Faults{syntaxFault(file, err)}
	}
	d.table("", tree, reflect.ValueOf(c).Elem())
	if folder != "" {
		c.resolve(folder)
	}
	d.check(c)
	if len(d.faults) > 0 {
		slices.SortStableFunc(d.faults, func(a, b Fault) int { return a.Line - b.Line })
		return nil, d.faults
	}
	return c, nil
}

func syntaxFault(file string, err error) Fault {
	if p, ok := err.(toml.ParseError); ok {
		return Fault{File: file, Line: p.Position.Line, Key: p.LastKey, Problem: p.Message}
	}
	return Fault{File: file, Problem: err.Error()}
}

// A decoder fills a Config from a tree and collects what is wrong.
type decoder struct {
	file   string
	lines  lines
	faults Faults
}

// fault reports a problem of a key; of one that is not in the document, on
// the line of the table that it belongs to.
func (d *decoder) fault(key, format string, args ...any) {
	line, where := 0, key
	for line = d.lines[where]; line == 0 && where != ""; line = d.lines[where] {
		where = where[:max(0, strings.LastIndexAny(where, ".["))]
	}
	d.faults = append(d.faults, Fault{File: d.file, Line: line, Key: key, Problem: fmt.Sprintf(format, args...)})
}

// table fills the fields of a struct.
func (d *decoder) table(path string, tree map[string]any, v reflect.Value) {
	fields := fieldsOf(v.Type())
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		f, ok := fields[name]
		if !ok {
			d.fault(join(path, name), "unknown key; allowed here: %s", strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
			continue
		}
		d.value(join(path, name), tree[name], v.FieldByIndex(f.Index), f.Tag)
	}
}

func fieldsOf(t reflect.Type) map[string]reflect.StructField {
	fields := make(map[string]reflect.StructField)
	for f := range t.Fields() {
		fields[f.Tag.Get("toml")] = f
	}
	return fields
}

// value fills one field.
func (d *decoder) value(path string, x any, v reflect.Value, tag reflect.StructTag) {
	if s, ok := x.(string); ok {
		text, away, err := fetch(s)
		if err != nil {
			d.fault(path, "%v", err)
			return
		}
		if x = text; away {
			x = typed(text, v.Kind())
		}
	}
	if err := setScalar(v, x); err == nil {
		d.bounds(path, v, tag)
		return
	} else if err != errNoScalar {
		d.fault(path, "%v; allowed: %s", err, allowed(v.Type(), tag))
		return
	}
	if v.Kind() == reflect.Struct {
		tree, ok := x.(map[string]any)
		if !ok {
			d.fault(path, "must be a table")
			return
		}
		d.table(path, tree, v)
		return
	}
	elements, ok := sliceOf(x)
	if !ok {
		d.fault(path, "must be a list of %s", allowed(v.Type().Elem(), ""))
		return
	}
	if len(elements) == 0 {
		v.SetZero()
		return
	}
	list := reflect.MakeSlice(v.Type(), len(elements), len(elements))
	for i, element := range elements {
		d.value(path+"["+strconv.Itoa(i)+"]", element, list.Index(i), "")
	}
	v.Set(list)
}

// sliceOf returns the elements of both kinds of lists that TOML has.
func sliceOf(x any) ([]any, bool) {
	switch x := x.(type) {
	case []any:
		return x, true
	case []map[string]any:
		list := make([]any, len(x))
		for i := range x {
			list[i] = x[i]
		}
		return list, true
	}
	return nil, false
}

// typed turns a value from the environment or a file into what a TOML value
// of that kind would be; what is none stays text, and is refused as such.
func typed(text string, kind reflect.Kind) any {
	switch kind {
	case reflect.Int, reflect.Int64: // sizes may be plain numbers too
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
	case reflect.Bool:
		if b, err := strconv.ParseBool(text); err == nil {
			return b
		}
	}
	return text
}

var errNoScalar = fmt.Errorf("a table or list")

// setScalar sets v to the TOML value x, or returns errNoScalar where v is a
// struct or a list.
func setScalar(v reflect.Value, x any) error {
	s, isText := x.(string)
	switch p := v.Addr().Interface().(type) {
	case *Size:
		if n, ok := x.(int64); ok && n >= 0 {
			*p = Size(n)
			return nil
		}
		if !isText {
			return fmt.Errorf("%v is not a size", x)
		}
		n, err := ParseSize(s)
		*p = n
		return err
	case *Count:
		n, ok := x.(int64)
		if s == "none" {
			n, ok = None, true
		}
		*p = Count(n)
		if !ok || n < 0 && s != "none" {
			return fmt.Errorf("%v is not a number", x)
		}
		return nil
	case *time.Duration:
		if !isText {
			return fmt.Errorf("%v is not a duration", x)
		}
		n, err := ParseDuration(s)
		*p = n
		return err
	case encoding.TextUnmarshaler:
		if !isText || p.UnmarshalText([]byte(s)) != nil {
			return fmt.Errorf("%v is not right", x)
		}
		return nil
	case *string:
		if !isText {
			return fmt.Errorf("%v is not a string", x)
		}
		*p = s
		return nil
	case *int:
		n, ok := x.(int64)
		if !ok {
			return fmt.Errorf("%v is not a whole number", x)
		}
		*p = int(n)
		return nil
	case *bool:
		b, ok := x.(bool)
		if !ok {
			return fmt.Errorf("%v is neither true nor false", x)
		}
		*p = b
		return nil
	}
	return errNoScalar
}
