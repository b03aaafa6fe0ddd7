package message

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCorpus: real and malformed mails, named by STARLING_CORPUS, give well-formed structures that agree with their
// sections, and can be read and searched.
func TestCorpus(t *testing.T) {
	dir := os.Getenv("STARLING_CORPUS")
	if dir == "" {
		t.Skip("STARLING_CORPUS does not name a folder of mails")
	}
	mails := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".eml") {
			return err
		}
		mails++
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		t.Run(filepath.ToSlash(strings.TrimPrefix(path, dir)), func(t *testing.T) {
			for _, mail := range []string{string(raw), crlf(strings.ReplaceAll(string(raw), "\r\n", "\n"))} {
				m := parse(mail, 0)
				check(t, m, len(mail))
				same(t, "in pieces", parse(mail, 13), m)
				again, err := Decode(m.AppendBinary(nil))
				if err != nil {
					t.Fatal(err)
				}
				same(t, "stored form", again, m)
				readAll(t, &m.Root, strings.NewReader(mail))
				if found, err := NewMatcher("no mail has this").Text(m, strings.NewReader(mail), true); found || err != nil {
					t.Errorf("search: %v, %v", found, err)
				}
			}
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if mails == 0 {
		t.Errorf("no mails in %s", dir)
	}
}

func readAll(t *testing.T, p *Part, mail io.ReaderAt) {
	for _, c := range p.Children {
		readAll(t, c, mail)
	}
	if p.Type == "text" {
		text, err := io.ReadAll(p.Text(mail))
		if err != nil {
			t.Error(err)
		}
		if !bytes.Equal(bytes.ToValidUTF8(text, nil), text) {
			t.Error("text is not UTF-8")
		}
	}
}
