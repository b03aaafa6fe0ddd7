package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
)

// unpack makes a data folder of what an earlier schema left: testdata/NAME.
func unpack(t *testing.T, name string) (dir string) {
	t.Helper()
	from := filepath.Join("testdata", name)
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join(from, "mail.sql"))
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, databaseName))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(string(script)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// schema reads the statements that make the database, apart from goose's own.
func schema(t *testing.T, s *Store) (list []string) {
	t.Helper()
	if err := s.read(context.Background(), "read schema", func(c *sqlite3.Conn) error {
		return rows(c, `SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'goose%' AND name NOT LIKE 'sqlite%'`, func(r *sqlite3.Stmt) error {
			list = append(list, strings.Join(strings.Fields(r.Text(0)), " "))
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

// TestMigrate opens stores of all earlier schemas: what they hold is there, they
// are sound, and they have become what a new store is.
func TestMigrate(t *testing.T) {
	want := schema(t, open(t, Options{}))
	for _, version := range []string{"v1"} {
		t.Run(version, func(t *testing.T) {
			s := open(t, Options{Dir: unpack(t, version)})
			if got := schema(t, s); !slices.Equal(got, want) {
				t.Errorf("schema:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if list := check(t, s, false); len(list) > 0 {
				t.Errorf("check: %+v", list)
			}
			u, err := s.User(t.Context(), "ada")
			if err != nil {
				t.Fatal(err)
			}
			inbox, err := s.Lookup(t.Context(), u.Account, mailbox.Inbox)
			if err != nil {
				t.Fatal(err)
			}
			snap, err := s.Snapshot(t.Context(), inbox.ID)
			if err != nil {
				t.Fatal(err)
			}
			if snap.UIDs.String() != "1,3" || snap.Counts.UIDNext != 4 || !slices.Equal(snap.Keywords, []string{"Work"}) || snap.UIDValidity == 0 {
				t.Errorf("snapshot: %+v", snap)
			}
			for uid, want := range map[imap.UID][]byte{1: mail(1, 300), 3: mail(3, 1200)} {
				if got := body(t, s, inbox.ID, uid); !bytes.Equal(got, want) {
					t.Errorf("body of %d: %q", uid, got)
				}
			}
			if uid := add(t, s, inbox.ID, mail(4, 500)); uid != 4 {
				t.Errorf("next UID %d", uid)
			}
		})
	}
}

// TestForeign refuses databases that are not ours, or not yet.
func TestForeign(t *testing.T) {
	for name, sql := range map[string]string{
		"another program's": `PRAGMA application_id = 7`,
		"somebody's":        `CREATE TABLE things (a)`,
		"a newer program's": `INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if strings.Contains(sql, "goose") {
				dir = unpack(t, "v1")
			}
			c, err := sqlite3.Open(filepath.Join(dir, databaseName), "")
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Exec(sql); err != nil {
				t.Fatal(err)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			s, err := Open(t.Context(), Options{Dir: dir})
			if err == nil {
				s.Close()
				t.Fatal("it was opened")
			}
			t.Log(err)
		})
	}
}
