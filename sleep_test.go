package starling_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoSleep finds time.Sleep in tests: a test waits for what it needs, or
// runs in a bubble of testing/synctest, where sleeping is how time passes.
func TestNoSleep(t *testing.T) {
	fset := token.NewFileSet()
	seen := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			return err
		}
		seen++
		for _, pos := range sleeps(f) {
			t.Errorf("%s: time.Sleep in a test", fset.Position(pos))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen == 0 {
		t.Error("no test file found")
	}
}

// sleeps returns where f calls time.Sleep; none where f uses synctest.
func sleeps(f *ast.File) (at []token.Pos) {
	for _, imp := range f.Imports {
		if imp.Path.Value == `"testing/synctest"` {
			return nil
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Sleep" {
			if pkg, ok := s.X.(*ast.Ident); ok && pkg.Name == "time" {
				at = append(at, s.Pos())
			}
		}
		return true
	})
	return at
}

func TestSleeps(t *testing.T) {
	for src, want := range map[string]int{
		"package p\nimport \"time\"\nfunc f() { time.Sleep(1); time.Sleep(2) }":                           2,
		"package p\nimport \"time\"\nfunc f() { time.Now() }":                                             0,
		"package p\nimport (\"time\"\n\"testing/synctest\")\nfunc f() { synctest.Wait(); time.Sleep(1) }": 0,
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "x_test.go", src, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(sleeps(f)); got != want {
			t.Errorf("%d sleeps, want %d in %q", got, want, src)
		}
	}
}
