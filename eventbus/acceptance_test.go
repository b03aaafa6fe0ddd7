package eventbus_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestAcceptance holds eventbustest/README.md to the code: every test that it names is there.
func TestAcceptance(t *testing.T) {
	readme, err := os.ReadFile("eventbustest/README.md")
	if err != nil {
		t.Fatal(err)
	}
	suite, err := os.ReadFile("eventbustest/suite.go")
	if err != nil {
		t.Fatal(err)
	}
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatal(err)
	}
	there := make(map[string]bool)
	err = filepath.WalkDir(strings.TrimSpace(string(root)), func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllStringSubmatch(string(b), -1) {
			there[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`\{"(\w+)", \w+\}`).FindAllStringSubmatch(string(suite), -1) {
		there[m[1]] = true
	}
	named := 0
	for line := range strings.Lines(string(readme)) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 || !strings.Contains(cells[2], "`") {
			continue
		}
		for _, m := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(cells[2], -1) {
			named++
			if !there[m[1]] {
				t.Errorf("%s is no test: %s", m[1], strings.TrimSpace(cells[1]))
			}
		}
	}
	if named < 50 {
		t.Errorf("only %d tests are named", named)
	}
}
