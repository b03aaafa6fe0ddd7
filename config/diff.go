package config

import (
	"reflect"
)

// Diff returns the keys whose values differ: those that a running server can
// take over, and those that need a restart.
func Diff(old, new *Config) (reload, restart []string) {
	var walk func(path string, a, b reflect.Value)
	walk = func(path string, a, b reflect.Value) {
		for f := range a.Type().Fields() {
			key := join(path, f.Tag.Get("toml"))
			x, y := a.FieldByIndex(f.Index), b.FieldByIndex(f.Index)
			switch {
			case x.Kind() == reflect.Struct:
				walk(key, x, y)
			case reflect.DeepEqual(x.Interface(), y.Interface()):
			case f.Tag.Get("reload") != "":
				reload = append(reload, key)
			default:
				restart = append(restart, key)
			}
		}
	}
	walk("", reflect.ValueOf(old).Elem(), reflect.ValueOf(new).Elem())
	return reload, restart
}
