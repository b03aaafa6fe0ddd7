package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
)

// load runs imapload for m over s and returns the figures of its report.
func load(ctx context.Context, imapload string, m measurement, s *server, users int) (map[string]float64, error) {
	args := []string{m.args[0], "-addr", s.imap}
	if m.tls {
		args = []string{m.args[0], "-addr", s.imaps, "-tls"}
	}
	args = append(args, "-user", userPattern, "-users", strconv.Itoa(users), "-pass", password,
		"-pids", strconv.Itoa(s.pid), "-json")
	cmd := exec.CommandContext(ctx, imapload, append(args, m.args[1:]...)...) // m's -users win
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("imapload %s: %w: %s", m.name, err, bytes.TrimSpace(stderr.Bytes()))
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	var report map[string]any
	if err := json.Unmarshal(lines[len(lines)-1], &report); err != nil {
		return nil, fmt.Errorf("imapload %s: report: %w", m.name, err)
	}
	if fault, _ := report["first_error"].(string); fault != "" {
		return nil, fmt.Errorf("imapload %s: %s", m.name, fault)
	}
	figures := map[string]float64{}
	for key, value := range report {
		if f, ok := value.(float64); ok {
			figures[key] = f
		}
	}
	return figures, nil
}
