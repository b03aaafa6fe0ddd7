package imapserver_test

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	rfcHeading = regexp.MustCompile(`^## RFC (\d+):`)
	rfcRow     = regexp.MustCompile(`^\| ([0-9][0-9A-Z., ]*) \| (yes|partly|no|[A-Z])`)
	// A citation may be broken across the lines of a comment.
	rfcCited   = regexp.MustCompile(`RFC\s+(\d+)((?:\s+§[0-9A-Z][0-9.]*(?:,| and| to)?)*)`)
	rfcSection = regexp.MustCompile(`§([0-9A-Z][0-9.]*)`)
	commentEnd = regexp.MustCompile(`\n\s*//[ \t]*`)
)

// readRFCs returns what docs/rfc.md lists: the sections of each RFC.
func readRFCs(t *testing.T) map[string]map[string]bool {
	t.Helper()
	b, err := os.ReadFile("../docs/rfc.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]map[string]bool{}
	rfc := ""
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "## ") {
			rfc = ""
			if m := rfcHeading.FindStringSubmatch(line); m != nil {
				rfc = m[1]
				if listed[rfc] != nil {
					t.Errorf("RFC %s has two headings", rfc)
				}
				listed[rfc] = map[string]bool{}
			}
			continue
		}
		m := rfcRow.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		for name := range strings.SplitSeq(m[1], ", ") {
			switch {
			case rfc == "": // a table of whole RFCs
				if listed[name] == nil {
					listed[name] = map[string]bool{}
				}
			case listed[rfc][name]:
				t.Errorf("RFC %s §%s is listed twice", rfc, name)
			default:
				listed[rfc][name] = true
			}
		}
	}
	return listed
}

// covered reports whether a section or one that it is part of is listed.
func covered(sections map[string]bool, s string) bool {
	for {
		if sections[s] {
			return true
		}
		i := strings.LastIndexByte(s, '.')
		if i < 0 {
			return false
		}
		s = s[:i]
	}
}

// TestCitedSectionsAreListed: whoever cites an RFC says in docs/rfc.md what becomes of it.
func TestCitedSectionsAreListed(t *testing.T) {
	listed := readRFCs(t)
	if len(listed["9051"]) < 80 || len(listed["7162"]) < 30 {
		t.Fatalf("docs/rfc.md could not be read: %d RFCs", len(listed))
	}
	cited := map[string]bool{}
	for _, root := range []string{"imapserver", "message", "msn", "tracker", "mailbox", "mailstore", "lmtp", "auth", "quota", "transfer", "admin"} {
		err := filepath.WalkDir(filepath.Join("..", root), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text := commentEnd.ReplaceAllString(string(b), " ")
			for _, m := range rfcCited.FindAllStringSubmatch(text, -1) {
				rfc := m[1]
				cited[rfc] = true
				if listed[rfc] == nil {
					t.Errorf("%s cites RFC %s, which docs/rfc.md does not have", path, rfc)
					continue
				}
				for _, s := range rfcSection.FindAllStringSubmatch(m[2], -1) {
					if section := strings.TrimRight(s[1], "."); !covered(listed[rfc], section) {
						t.Errorf("%s cites RFC %s §%s, which docs/rfc.md does not have", path, rfc, section)
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(cited) < 30 {
		t.Errorf("only %d RFCs are cited: %v", len(cited), slices.Sorted(maps.Keys(cited)))
	}
}
