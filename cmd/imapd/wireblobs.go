package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"

	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/blob/fs"
	"github.com/starling-mail/starling/blob/s3"
	"github.com/starling-mail/starling/config"
)

// openBlobs opens what keeps large bodies: the object store, the cluster's
// folder, or this node's own. Below is a place in it, which may be empty: names of blobs never begin like that.
func openBlobs(ctx context.Context, c *config.Config, below string) (blob.Store, error) {
	if c.Store.S3.Endpoint != "" {
		o := c.Store.S3
		if below != "" {
			o.Prefix += below + "/"
		}
		return openS3(ctx, &o)
	}
	folder := c.Store.Postgres.Blobs
	if folder == "" {
		folder = filepath.Join(c.Server.DataDir, "blobs")
	}
	folder = filepath.Join(folder, below)
	files, err := fs.OS(folder)
	if err != nil {
		return nil, err
	}
	if !c.Cluster.Enabled {
		return fs.Open(files)
	}
	name, err := nodeName(c)
	if err != nil {
		return nil, err
	}
	return fs.OpenShared(files, name)
}

func openS3(ctx context.Context, c *config.S3) (blob.Store, error) {
	roots, err := rootCAs(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("store.s3.ca_file: %w", err)
	}
	return s3.Open(ctx, s3.Options{
		Endpoint:    c.Endpoint,
		Bucket:      c.Bucket,
		Prefix:      c.Prefix,
		Region:      c.Region,
		AccessKey:   c.AccessKey,
		SecretKey:   c.SecretKey,
		Insecure:    !c.TLS,
		PathStyle:   c.PathStyle,
		RootCAs:     roots,
		PartSize:    int(c.PartSize),
		Chunk:       int(c.ReadSize),
		Timeout:     c.Timeout,
		Retries:     c.Retries,
		Connections: c.Connections,
	})
}

// rootCAs reads certificates; nil, which stands for the system's, if there is no
// file.
func rootCAs(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return pool, nil
}
