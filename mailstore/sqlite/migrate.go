package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver that goose works through

	"github.com/starling-mail/starling/mailstore/sqlite/sqlite3"
)

// applicationID marks a database as one of ours ("Star").
const applicationID = 0x53746172

// pageSize of a new database, in bytes. With 8,192 an append writes half as much
// again to the log.
const pageSize = 4096

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the database at path to the newest schema, making it if there
// is none. A database of another program, or of a newer version, is refused.
func migrate(ctx context.Context, path string) (err error) {
	if err := claim(path); err != nil {
		return err
	}
	dsn := fmt.Sprintf("file:%s?_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)", (&url.URL{Path: path}).EscapedPath())
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	defer func() {
		if e := db.Close(); err == nil {
			err = e
		}
	}()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	have, newest, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if have > newest {
		return fmt.Errorf("the database has schema %d, this program knows up to %d: use the newer program", have, newest)
	}
	if _, err := p.Up(ctx); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", newest))
	return err
}

// claim makes a new database ours and checks that an old one is. What it sets
// stays with the file.
func claim(path string) (err error) {
	c, err := sqlite3.Open(path, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	var id, tables int64
	if _, err := row(c, "PRAGMA application_id", func(r *sqlite3.Stmt) { id = r.Int(0) }); err != nil {
		return err
	}
	if _, err := row(c, "SELECT count(*) FROM sqlite_schema", func(r *sqlite3.Stmt) { tables = r.Int(0) }); err != nil {
		return err
	}
	switch {
	case id == applicationID:
		return nil
	case id != 0 || tables != 0:
		return fmt.Errorf("not a mail store: its application id is %#x", id)
	}
	for _, pragma := range []string{
		fmt.Sprintf("PRAGMA page_size = %d", pageSize), // before anything is written
		"PRAGMA journal_mode = WAL",
		fmt.Sprintf("PRAGMA application_id = %d", applicationID),
	} {
		if err := c.Exec(pragma); err != nil {
			return err
		}
	}
	return nil
}
