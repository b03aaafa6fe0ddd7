package incoming

import (
	"context"
	"io"

	"github.com/starling-mail/starling/blob"
)

// Adopt returns a draft of rc with the message of d, which another Receiver received; neither
// needs the other. Where d has a blob, from has its bytes, and they are copied.
func (rc *Receiver) Adopt(ctx context.Context, d *Draft, from blob.Store) (*Draft, error) {
	own := &Draft{rc: rc, Bytes: d.Bytes, Data: d.Data, Encoding: d.Encoding, EmailID: d.EmailID, Structure: d.Structure, Preview: d.Preview,
		Thread: d.Thread, Keys: d.Keys, HasID: d.HasID}
	if d.Blob.IsZero() {
		return own, nil
	}
	b, err := from.Open(ctx, d.Blob)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	own.Blob = blob.NewID()
	rc.track(own.Blob, true)
	if _, err := rc.blobs.Put(ctx, own.Blob, io.NewSectionReader(b, 0, b.Size())); err != nil {
		rc.track(own.Blob, false)
		return nil, err
	}
	return own, nil
}
