package fs

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Files is the file system below a Store. Names are slash-separated and
// relative to its folder. Tests put faults in its way.
type Files interface {
	Mkdir(name string) error
	Create(name string) (File, error) // for writing; the name is new
	Open(name string) (File, error)   // for reading
	Rename(from, to string) error
	Remove(name string) error
	SyncDir(name string) error // makes the names in a folder durable
	ReadDir(name string) ([]fs.DirEntry, error)
}

// A File is an open file.
type File interface {
	io.Writer
	io.ReaderAt
	io.Closer
	Sync() error
	Size() (int64, error)
}

// OS returns the files below a folder of the operating system, which it makes
// if it is not there. Nobody but the user may read them.
func OS(folder string) (Files, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	// So that the folder itself survives a power loss.
	if err := osFiles(filepath.Dir(folder)).SyncDir("."); err != nil {
		return nil, err
	}
	return osFiles(folder), nil
}

type osFiles string

func (d osFiles) path(name string) string { return filepath.Join(string(d), filepath.FromSlash(name)) }

func (d osFiles) Mkdir(name string) error      { return os.Mkdir(d.path(name), 0o700) }
func (d osFiles) Rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }
func (d osFiles) Remove(name string) error     { return os.Remove(d.path(name)) }

func (d osFiles) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(d.path(name)) }

func (d osFiles) Create(name string) (File, error) {
	f, err := os.OpenFile(d.path(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (d osFiles) Open(name string) (File, error) {
	f, err := os.Open(d.path(name))
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (d osFiles) SyncDir(name string) error {
	f, err := os.Open(d.path(name))
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}
