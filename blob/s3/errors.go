package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/minio/minio-go/v7"

	"github.com/starling-mail/starling/mailbox"
)

// failure gives an error of the object store its kind.
func failure(op string, err error) error {
	if err == nil {
		return nil
	}
	kind, text := mailbox.Other, ""
	resp := minio.ToErrorResponse(err)
	switch {
	case resp.Code == minio.NoSuchKey:
		kind = mailbox.NonExistent
	case resp.StatusCode == http.StatusInsufficientStorage:
		kind, text = mailbox.Unavailable, "the disk is full"
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusRequestTimeout,
		// What the operator can put right while mail waits: credentials, rights, the bucket.
		resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusForbidden, resp.Code == minio.NoSuchBucket,
		network(err):
		kind = mailbox.Unavailable
	}
	return &mailbox.Error{Kind: kind, Op: op, Text: text, Err: fmt.Errorf("blob/s3: %w", err)}
}

// network reports whether the request did not get its whole answer.
func network(err error) bool {
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[*url.Error](err); ok {
		return true
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.ErrUnexpectedEOF)
}
