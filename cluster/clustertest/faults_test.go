package clustertest

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var plant = flag.Bool("plant", false, "run the simulation with each of the planted faults (TestPlantedFaults)")

// root is the module's folder.
const root = "../.."

// TestPlantedFaults shows that the simulation finds what it is there for: with each patch of testdata/faults, which takes one thing away that keeps
// numbers right, some seed fails. Without -plant it says only whether the patches still apply.
func TestPlantedFaults(t *testing.T) {
	patches, err := filepath.Glob("testdata/faults/*.patch")
	if err != nil || len(patches) == 0 {
		t.Fatal("no patches", err)
	}
	for _, path := range patches {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".patch"), func(t *testing.T) {
			overlay := planted(t, path)
			if !*plant {
				return
			}
			const most = 5000
			cmd := exec.Command("go", "test", "-overlay", overlay, "./cluster/clustertest", "-run", "TestSeeds", "-count", "1", "-timeout", "1h",
				"-failures", "1", "-seeds", strconv.Itoa(most), "-first", strconv.FormatUint(*first, 10))
			cmd.Dir = root
			out, err := cmd.CombinedOutput()
			found := regexp.MustCompile(`(?m)^ +sim_test.go:\d+: seed (\d+): `).FindSubmatch(out)
			if err == nil || found == nil {
				t.Fatalf("not found by %d seeds: %v\n%.2000s", most, err, out)
			}
			seed, err := strconv.ParseUint(string(found[1]), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("found by seed %d, the %dth", seed, seed-*first+1)
		})
	}
}

// planted applies a patch to copies of the files that it is for, and returns the overlay that has go use these.
func planted(t *testing.T, path string) (overlay string) {
	t.Helper()
	patch, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	replace := make(map[string]string)
	for _, m := range regexp.MustCompile(`(?m)^\+\+\+ b/(.+)$`).FindAllSubmatch(patch, -1) {
		name := string(m[1])
		original, err := filepath.Abs(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(original)
		if err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(copied), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied, text, 0o600); err != nil {
			t.Fatal(err)
		}
		replace[original] = copied
	}
	cmd := exec.Command("patch", "-p1", "-s", "--no-backup-if-mismatch", "-r", "-")
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(patch)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s does not apply any more: %v\n%s", path, err, out)
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay = filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}
