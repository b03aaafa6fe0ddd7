package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// Size of a batch: what one transaction takes.
const (
	batchMessages = 200
	batchBytes    = 16 << 20
)

// A Watcher is told how a transfer goes on. Its functions may be nil.
type Watcher struct {
	// Progress: so many bytes more of the sizes of the folders are done with.
	Progress func(folder string, weight int64)
	// Warn: something could not be kept or read; the transfer goes on.
	Warn func(text string)
}

func (w Watcher) progress(folder string, weight int64) {
	if w.Progress != nil {
		w.Progress(folder, weight)
	}
}

func (w Watcher) warn(format string, args ...any) {
	if w.Warn != nil {
		w.Warn(fmt.Sprintf(format, args...))
	}
}

// A Result says what a transfer did.
type Result struct {
	Folders  int
	Messages int // brought over now
	Known    int // passed over: brought over before
	Failed   int // messages that could not be read
}

// Import brings everything of a source into a store. Where it returns an error
// the journal holds what is in, and Import can be called again.
func Import(ctx context.Context, store Store, source *Source, j *Journal, w Watcher) (Result, error) {
	im := importer{store: store, journal: j, watch: w}
	boxes, err := store.List(ctx)
	if err != nil {
		return im.result, err
	}
	for _, f := range source.Folders {
		if err := im.folder(ctx, f, boxes); err != nil {
			return im.result, fmt.Errorf("%s: %w", f.Name, err)
		}
		im.result.Folders++
	}
	for _, name := range source.Subscriptions {
		if err := store.Subscribe(ctx, name); err != nil {
			return im.result, fmt.Errorf("subscribe to %s: %w", name, err)
		}
	}
	return im.result, nil
}

type importer struct {
	store   Store
	journal *Journal
	watch   Watcher
	result  Result

	// Of the current folder:
	name     string
	box      mailbox.ID
	keepUIDs bool
	next     imap.UID // UIDNEXT as far as it is known
	floor    imap.UID // with keepUIDs: the lowest UID for messages without one
	lostUIDs int
	batch    []Item
	bytes    int64
}

func (im *importer) folder(ctx context.Context, f Folder, boxes []mailstore.Info) error {
	im.name, im.floor, im.lostUIDs = f.Name, f.UIDNext, 0
	if err := im.open(ctx, f, boxes); err != nil {
		return err
	}
	for item, err := range f.Items {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			im.result.Failed++
			im.watch.warn("%s: %v", f.Name, err)
			im.watch.progress(f.Name, item.Weight)
			continue
		case im.journal.has(im.box, item.Key):
			im.result.Known++
			im.watch.progress(f.Name, item.Weight)
			continue
		case item.Size > MaxMessage:
			im.result.Failed++
			im.watch.warn("%s: %s is larger than %d bytes", f.Name, item.Key, MaxMessage)
			im.watch.progress(f.Name, item.Weight)
			continue
		}
		if len(im.batch) > 0 && (len(im.batch) == batchMessages || im.bytes+item.Size > batchBytes) {
			if err := im.flush(ctx); err != nil {
				return err
			}
		}
		im.batch = append(im.batch, item)
		im.bytes += item.Size
	}
	if err := im.flush(ctx); err != nil {
		return err
	}
	if im.lostUIDs > 0 {
		im.watch.warn("%s: %d messages got new UIDs: other mail arrived meanwhile", f.Name, im.lostUIDs)
	}
	if im.keepUIDs && f.UIDNext > im.next {
		return im.store.AdoptUIDs(ctx, im.box, f.UIDValidity, f.UIDNext)
	}
	return nil
}

// open finds or makes the folder's mailbox and settles what an interrupted
// import left open.
func (im *importer) open(ctx context.Context, f Folder, boxes []mailstore.Info) error {
	var info mailstore.Info
	var err error
	i := slices.IndexFunc(boxes, func(b mailstore.Info) bool { return b.Name == f.Name && !b.ID.IsZero() })
	if i >= 0 {
		info = boxes[i]
	} else if info, err = im.store.Create(ctx, f.Name); err != nil {
		return err
	}
	im.box, im.next = info.ID, max(info.Counts.UIDNext, 1)
	if in, ok := im.journal.pending(im.box); ok {
		found, err := im.find(ctx, in)
		if err != nil {
			return err
		}
		if err := im.journal.finish(im.box, in, found); err != nil {
			return err
		}
	}
	im.keepUIDs = f.UIDValidity != 0 && f.UIDValidity == info.UIDValidity
	if f.UIDValidity == 0 || im.keepUIDs {
		return nil
	}
	if im.next == 1 {
		err := im.store.AdoptUIDs(ctx, im.box, f.UIDValidity, 1)
		if im.keepUIDs = err == nil; err == nil || mailbox.KindOf(err) != mailbox.Cannot {
			return err
		}
	}
	im.watch.warn("%s: UIDs are not kept, because the mailbox has had messages before; clients will download it again", f.Name)
	return nil
}

// find reports whether the messages of in are in the mailbox, one after the
// other.
func (im *importer) find(ctx context.Context, in intent) (bool, error) {
	var rows []Row // the last ones, as many as in has
	for row, err := range im.store.Rows(ctx, im.box, in.Next) {
		if err != nil {
			return false, err
		}
		if rows = append(rows, row); len(rows) > len(in.Items) {
			rows = rows[1:]
		}
		if slices.EqualFunc(in.Items, rows, intentEntry.is) {
			return true, nil
		}
	}
	return false, nil
}

// flush appends the batch.
func (im *importer) flush(ctx context.Context) error {
	if len(im.batch) == 0 {
		return nil
	}
	in := intent{Box: im.box.String(), Next: im.next}
	for _, item := range im.batch {
		in.Items = append(in.Items, intentEntry{item.Key, item.Size, item.Received.Unix()})
	}
	if err := im.journal.intend(in); err != nil {
		return err
	}
	uids, err := im.store.Append(ctx, im.box, im.messages())
	if err != nil {
		return im.failed(in, err)
	}
	if err := im.journal.finish(im.box, in, true); err != nil {
		return err
	}
	if len(uids) > 0 {
		im.next = uids[len(uids)-1] + 1
	}
	for i, item := range im.batch {
		im.watch.progress(im.name, item.Weight)
		if im.keepUIDs && item.UID != 0 && i < len(uids) && uids[i] != item.UID {
			im.lostUIDs++
		}
	}
	im.result.Messages += len(im.batch)
	im.batch, im.bytes = im.batch[:0], 0
	return nil
}

// failed writes down that nothing was appended, where that is known: an error
// of kind Unknown, or none that the store gave, leaves the batch pending.
func (im *importer) failed(in intent, err error) error {
	if e, ok := errors.AsType[*mailbox.Error](err); ok && e.Kind != mailbox.Unknown {
		return errors.Join(err, im.journal.finish(im.box, in, false))
	}
	im.journal.open[im.box] = in
	return err
}

// messages opens the messages of the batch one after the other.
func (im *importer) messages() iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		next := im.next
		for _, item := range im.batch {
			m := Message{Flags: item.Flags, Received: item.Received}
			ask := item.UID
			if ask == 0 {
				ask = im.floor // UIDs that clients may know must not come again
			}
			if im.keepUIDs && ask >= next {
				m.UID, next = ask, ask
			}
			next++
			r, err := item.Open()
			if err != nil {
				yield(Message{}, err)
				return
			}
			m.Body = io.LimitReader(r, item.Size) // a file that grows meanwhile
			more := yield(m, nil)
			r.Close()
			if !more {
				return
			}
		}
	}
}
