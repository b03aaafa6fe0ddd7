package message

import (
	"runtime"
	"strings"
	"testing"
)

// TestMemory: what a Parser allocates follows its limits, not the mail.
func TestMemory(t *testing.T) {
	const multi = "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	for _, tt := range []struct {
		name, start, repeat string
		mb                  uint64 // allowed
	}{
		{"body", "\r\n", "text\r\n", 1},
		{"one line", "\r\n", "text", 1},
		{"one header field", "Subject:", " text", 4},
		{"one folded header field", "To:", " a@b,\r\n", 8},
		{"many header fields", "", "Subject: s\r\n", 4},
		{"many address fields", "", "To: a@b\r\n", 8},
		{"parts", multi, "--b\r\n\r\nx\r\n", 16},
		{"parts with parameters", multi, "--b\r\nContent-Type: x/y" + strings.Repeat(";a=b", 200) + "\r\n\r\nx\r\n", 64},
		{"embedded mails", "", "Content-Type: message/rfc822\r\n\r\n", 4},
		{"digest", strings.Replace(multi, "mixed", "digest", 1), "--b\r\n\r\nFrom: a@b\r\nSubject: s\r\n\r\nx\r\n", 32},
	} {
		piece := []byte(strings.Repeat(tt.repeat, 64<<10/len(tt.repeat)))
		p := NewParser(Limits{})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = p.Write([]byte(tt.start))
		for range 16 << 20 / len(piece) {
			_, _ = p.Write(piece)
		}
		m := p.Finish()
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) >> 20; got > tt.mb {
			t.Errorf("%s: %d MB allocated for a mail of %d MB, want at most %d", tt.name, got, m.Size>>20, tt.mb)
		}
	}
}
