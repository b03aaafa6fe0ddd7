package starling_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestNamedTests checks that the tests exist that docs/consistency.md and docs/testing.md name as showing something.
func TestNamedTests(t *testing.T) {
	declared := make(map[string]bool)
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range function.FindAllSubmatch(text, -1) {
			declared[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"docs/consistency.md", "docs/testing.md"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile("`(Test\\w+)`").FindAllSubmatch(text, -1)
		if len(names) == 0 {
			t.Errorf("%s names no test", path)
		}
		for _, m := range names {
			if !declared[string(m[1])] {
				t.Errorf("%s: there is no %s", path, m[1])
			}
		}
	}
}
