package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Load reads and validates a file and makes its paths absolute: data_dir is
// relative to the file's folder, every other path to data_dir.
func Load(path string) (*Config, error) {
	doc, err := os.ReadFile(path)
	if err != nil {
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			err = pe.Err
		}
		return nil, Faults{{File: path, Problem: err.Error()}}
	}
	folder, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	return parse(path, doc, folder)
}

// unixPrefix marks the address of a Unix socket.
const unixPrefix = "unix:"

func (c *Config) resolve(folder string) {
	below := func(path *string, folder string) {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(folder, *path)
		}
	}
	data := &c.Server.DataDir
	below(data, folder)
	below(&c.Server.ControlSocket, *data)
	below(&c.Store.Postgres.Blobs, *data)
	below(&c.Store.S3.CAFile, *data)
	below(&c.Cluster.KeysFile, *data)
	below(&c.Cluster.JoinFile, *data)
	for i := range c.TLS.Certificates {
		below(&c.TLS.Certificates[i].Cert, *data)
		below(&c.TLS.Certificates[i].Key, *data)
	}
	for i := range c.Listen {
		if path, ok := strings.CutPrefix(c.Listen[i].Address, unixPrefix); ok {
			below(&path, *data)
			c.Listen[i].Address = unixPrefix + path
		}
	}
}

// Network returns what net.Listen takes for the address.
func (l Listen) Network() (network, address string) {
	if path, ok := strings.CutPrefix(l.Address, unixPrefix); ok {
		return "unix", path
	}
	return "tcp", l.Address
}

// Mode returns the mode that a Unix socket gets.
func (l Listen) Mode() (fs.FileMode, error) {
	if l.SocketMode == "" {
		return 0o600, nil
	}
	n, err := strconv.ParseUint(l.SocketMode, 8, 9)
	return fs.FileMode(n), err
}
