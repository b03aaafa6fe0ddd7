package sqlite3

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // for database/sql
	"pgregory.net/rapid"
)

func open(t testing.TB) *Conn {
	t.Helper()
	c, err := Open(filepath.Join(t.TempDir(), "db"), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func exec(t testing.TB, c *Conn, sql string, args ...any) {
	t.Helper()
	if err := c.Exec(sql, args...); err != nil {
		t.Fatal(err)
	}
}

// TestValues has every value come back as it went in.
func TestValues(t *testing.T) {
	c := open(t)
	rapid.Check(t, func(t *rapid.T) {
		n, s, b := rapid.Int64().Draw(t, "n"), rapid.String().Draw(t, "s"), rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "b")
		st, err := c.Prepare(`SELECT ?, ?, ?, ?, ?, ?`)
		if err != nil {
			t.Fatal(err)
		}
		st.Start(n, s, b, nil, n%2 == 0, []byte(nil))
		defer st.Reset()
		if row, err := st.Step(); err != nil || !row {
			t.Fatal(row, err)
		}
		if st.Int(0) != n || st.Text(1) != s || !bytes.Equal(st.Bytes(2), b) || !st.Null(3) || (st.Int(4) == 1) != (n%2 == 0) || !st.Null(5) || st.Null(0) {
			t.Fatalf("%d %q %x came back as %d %q %x", n, s, b, st.Int(0), st.Text(1), st.Bytes(2))
		}
		if row, err := st.Step(); err != nil || row {
			t.Fatal(row, err)
		}
	})
}

func TestErrors(t *testing.T) {
	c := open(t)
	exec(t, c, `CREATE TABLE t (a PRIMARY KEY)`)
	exec(t, c, `INSERT INTO t VALUES (1)`)
	e, ok := errors.AsType[*Error](c.Exec(`INSERT INTO t VALUES (1)`))
	if !ok || !e.Constraint() || e.Full() || e.Temporary() || !strings.Contains(e.Error(), "t.a") {
		t.Errorf("duplicate: %v", e)
	}
	if err := c.Exec(`SELEC`); err == nil {
		t.Error("nonsense was prepared")
	}
	if err := c.Exec(`SELECT ?`, 1.5); err == nil {
		t.Error("an argument of a strange type was bound")
	}
	if err := c.Exec(`SELECT ?`, 1, 2); err == nil {
		t.Error("too many arguments were bound")
	}
	if _, err := Open(t.TempDir(), ""); err == nil {
		t.Error("a folder was opened")
	}
	exec(t, c, `PRAGMA max_page_count = 3`)
	e, ok = errors.AsType[*Error](c.Exec(`INSERT INTO t VALUES (zeroblob(100000))`))
	if !ok || !e.Full() || !e.Temporary() {
		t.Errorf("full: %v", e)
	}
}

func TestTransaction(t *testing.T) {
	c := open(t)
	exec(t, c, `CREATE TABLE t (a)`)
	if c.InTransaction() {
		t.Error("a transaction stands")
	}
	exec(t, c, `BEGIN`)
	exec(t, c, `INSERT INTO t VALUES (1), (2)`)
	if !c.InTransaction() || c.Changes() != 2 {
		t.Errorf("transaction %v, changes %d", c.InTransaction(), c.Changes())
	}
	exec(t, c, `ROLLBACK`)
	if c.InTransaction() {
		t.Error("a transaction stands after ROLLBACK")
	}
}

func TestInterrupt(t *testing.T) {
	c := open(t)
	done := make(chan error)
	go func() {
		done <- c.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n`)
	}()
	for {
		c.Interrupt()
		select {
		case err := <-done:
			if e, ok := errors.AsType[*Error](err); !ok || !e.Temporary() {
				t.Errorf("interrupted: %v", err)
			}
			return
		default:
		}
	}
}

// BenchmarkRows reads rows as a page of flags does: through this package and
// through database/sql.
func BenchmarkRows(b *testing.B) {
	path := filepath.Join(b.TempDir(), "db")
	c, err := Open(path, "")
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	exec(b, c, `CREATE TABLE t (a INTEGER PRIMARY KEY, b INTEGER, c INTEGER, d TEXT)`)
	exec(b, c, `BEGIN`)
	for i := range 10_000 {
		exec(b, c, `INSERT INTO t VALUES (?, ?, 1, ?)`, i, i*7, fmt.Sprint("word", i%3))
	}
	exec(b, c, `COMMIT`)
	const query = `SELECT a, b, c, d FROM t`
	b.Run("here", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			st, err := c.Prepare(query)
			if err != nil {
				b.Fatal(err)
			}
			st.Start()
			for {
				row, err := st.Step()
				if err != nil {
					b.Fatal(err)
				}
				if !row {
					break
				}
				_, _, _, _ = st.Int(0), st.Int(1), st.Int(2), st.Bytes(3)
			}
			st.Reset()
		}
	})
	b.Run("database/sql", func(b *testing.B) {
		b.ReportAllocs()
		db, err := sql.Open("sqlite", path)
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		for b.Loop() {
			rows, err := db.Query(query)
			if err != nil {
				b.Fatal(err)
			}
			for rows.Next() {
				var x, y, z int64
				var d sql.RawBytes
				if err := rows.Scan(&x, &y, &z, &d); err != nil {
					b.Fatal(err)
				}
			}
			if err := rows.Err(); err != nil {
				b.Fatal(err)
			}
			rows.Close()
		}
	})
}
