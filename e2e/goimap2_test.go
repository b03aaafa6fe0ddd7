package e2e

import (
	"slices"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/google/go-cmp/cmp"
)

// report is a message with two parts, for what concerns structure.
const report = "From: Grace Hopper <grace@example.org>\r\n" +
	"To: =?utf-8?q?Ad=C3=A1?= <ada@example.org>\r\n" +
	"Subject: =?iso-8859-1?q?Caf=E9?=\r\n" +
	"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\n" +
	"Message-ID: <report@e2e.example>\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: multipart/mixed; boundary=cut\r\n" +
	"\r\n" +
	"--cut\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\n" +
	"Content-Transfer-Encoding: quoted-printable\r\n" +
	"\r\n" +
	"R=C3=A9sum=C3=A9\r\n" +
	"--cut\r\n" +
	"Content-Type: application/octet-stream; name=data.bin\r\n" +
	"Content-Disposition: attachment; filename=data.bin\r\n" +
	"Content-Transfer-Encoding: base64\r\n" +
	"\r\n" +
	"AAECAwQ=\r\n" +
	"--cut--\r\n"

// TestGoIMAP2 has go-imap v2's client do what it can.
func TestGoIMAP2(t *testing.T) {
	n := startNode(t, nil)

	t.Run("capabilities", func(t *testing.T) {
		c := login(t, n, nil)
		caps, err := c.Capability().Wait()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []imap.Cap{
			imap.CapIMAP4rev1, imap.CapIMAP4rev2, imap.CapIdle, imap.CapEnable, imap.CapID, imap.CapNamespace, imap.CapChildren,
			imap.CapUnselect, imap.CapUIDPlus, imap.CapMove, imap.CapLiteralPlus, imap.CapListExtended, imap.CapListStatus,
			imap.CapSpecialUse, imap.CapCreateSpecialUse, imap.CapStatusSize, imap.CapESearch, imap.CapSearchRes, imap.CapBinary,
			imap.CapCondStore, imap.CapQResync, imap.CapUTF8Accept, imap.CapAppendLimit, "COMPRESS=DEFLATE", imap.CapQuota,
		} {
			if !caps.Has(name) {
				t.Errorf("after login, %s is not offered", name)
			}
		}
		id, err := c.ID(&imap.IDData{Name: "e2e"}).Wait()
		if err != nil || id.Name == "" {
			t.Errorf("ID: %+v, %v", id, err)
		}
		space, err := c.Namespace().Wait()
		if err != nil || len(space.Personal) != 1 {
			t.Errorf("NAMESPACE: %+v, %v", space, err)
		}
	})

	t.Run("mailboxes", func(t *testing.T) {
		c := login(t, n, nil)
		if _, err := c.Enable(imap.CapIMAP4rev2).Wait(); err != nil { // names in UTF-8
			t.Fatal(err)
		}
		for _, box := range []string{"Work/Plans", "Grüße"} {
			if err := c.Create(box, nil).Wait(); err != nil {
				t.Fatalf("CREATE %s: %v", box, err)
			}
		}
		if err := c.Delete("Junk").Wait(); err != nil { // a new account has one
			t.Error(err)
		}
		if err := c.Create("Spam", &imap.CreateOptions{SpecialUse: []imap.MailboxAttr{imap.MailboxAttrJunk}}).Wait(); err != nil {
			t.Errorf("CREATE with a special use: %v", err)
		}
		if err := c.Rename("Work/Plans", "Work/Old plans", nil).Wait(); err != nil {
			t.Error(err)
		}
		if err := c.Subscribe("Work/Old plans").Wait(); err != nil {
			t.Error(err)
		}
		list, err := c.List("", "*", &imap.ListOptions{
			ReturnSubscribed: true, ReturnChildren: true, ReturnSpecialUse: true,
			ReturnStatus: &imap.StatusOptions{NumMessages: true, UIDNext: true, Size: true},
		}).Collect()
		if err != nil {
			t.Fatal(err)
		}
		boxes := map[string]*imap.ListData{}
		for _, data := range list {
			boxes[data.Mailbox] = data
		}
		for name, attr := range map[string]imap.MailboxAttr{
			"INBOX": imap.MailboxAttrHasNoChildren, "Work": imap.MailboxAttrHasChildren, "Work/Old plans": imap.MailboxAttrSubscribed,
			"Grüße": imap.MailboxAttrHasNoChildren, "Spam": imap.MailboxAttrJunk,
		} {
			if data := boxes[name]; data == nil || !slices.Contains(data.Attrs, attr) {
				t.Errorf("LIST: %q should be there with %s: %+v", name, attr, data)
			}
		}
		if data := boxes["INBOX"]; data != nil && (data.Status == nil || data.Status.NumMessages == nil || data.Status.Size == nil) {
			t.Errorf("LIST: INBOX came without its STATUS: %+v", data)
		}
		if err := c.Delete("Grüße").Wait(); err != nil {
			t.Error(err)
		}
	})

	t.Run("messages", func(t *testing.T) {
		c := login(t, n, nil)
		if _, err := c.Enable(imap.CapIMAP4rev2).Wait(); err != nil {
			t.Fatal(err)
		}
		if err := c.Create("Messages", nil).Wait(); err != nil {
			t.Fatal(err)
		}
		stored := store(t, c, "Messages", report, imap.FlagSeen, "$Label")
		open(t, c, "Messages")
		store(t, c, "Messages", mail("second"))

		list, err := c.Fetch(imap.UIDSetNum(stored.UID), &imap.FetchOptions{
			UID: true, Flags: true, Envelope: true, RFC822Size: true, InternalDate: true,
			BodyStructure:     &imap.FetchItemBodyStructure{Extended: true},
			BodySection:       []*imap.FetchItemBodySection{{Peek: true}, {Peek: true, Part: []int{1}}, {Peek: true, Partial: &imap.SectionPartial{Offset: 6, Size: 5}}},
			BinarySection:     []*imap.FetchItemBinarySection{{Peek: true, Part: []int{2}}},
			BinarySectionSize: []*imap.FetchItemBinarySectionSize{{Part: []int{1}}},
		}).Collect()
		if err != nil || len(list) != 1 {
			t.Fatalf("FETCH: %d messages, %v", len(list), err)
		}
		m := list[0]
		if m.Envelope.Subject != "Café" || m.Envelope.To[0].Name != "Adá" || m.RFC822Size != int64(len(report)) {
			t.Errorf("FETCH: %+v, %d bytes", m.Envelope, m.RFC822Size)
		}
		if !slices.Contains(m.Flags, imap.FlagSeen) || !slices.Contains(m.Flags, "$Label") {
			t.Errorf("flags %v", m.Flags)
		}
		var kinds []string
		m.BodyStructure.Walk(func(_ []int, part imap.BodyStructure) bool { kinds = append(kinds, part.MediaType()); return true })
		if diff := cmp.Diff([]string{"multipart/mixed", "text/plain", "application/octet-stream"}, kinds); diff != "" {
			t.Error(diff)
		}
		for i, want := range []string{report, "R=C3=A9sum=C3=A9", report[6:11]} {
			if got := string(m.BodySection[i].Bytes); got != want {
				t.Errorf("section %d: %q, want %q", i, got, want)
			}
		}
		if got := m.BinarySection[0].Bytes; string(got) != "\x00\x01\x02\x03\x04" {
			t.Errorf("BINARY[2] is %q", got)
		}
		if got := m.BinarySectionSize[0].Size; got != uint32(len("Résumé")) {
			t.Errorf("BINARY.SIZE[1] is %d", got)
		}

		found, err := c.Search(&imap.SearchCriteria{Text: []string{"résumé"}},
			&imap.SearchOptions{ReturnMin: true, ReturnMax: true, ReturnCount: true, ReturnAll: true}).Wait()
		if err != nil || found.Min != 1 || found.Max != 1 || found.Count != 1 {
			t.Errorf("SEARCH: %+v, %v", found, err)
		}
		copied, err := c.Copy(imap.UIDSetNum(stored.UID), "INBOX").Wait()
		if err != nil || !slices.Equal(uids(copied.SourceUIDs), []imap.UID{stored.UID}) {
			t.Errorf("COPY: %+v, %v", copied, err)
		}
		moved, err := c.Move(imap.UIDSetNum(stored.UID), "INBOX").Wait()
		if err != nil || len(uids(moved.DestUIDs)) != 1 {
			t.Errorf("MOVE: %+v, %v", moved, err)
		}
		if got := c.Mailbox().NumMessages; got != 1 {
			t.Errorf("after MOVE, %d messages", got)
		}
		if err := c.Unselect().Wait(); err != nil {
			t.Error(err)
		}
		if _, ok := flagsBySubject(t, c, "Messages")["second"]; !ok {
			t.Error("the other message is gone")
		}
	})

	t.Run("condstore", func(t *testing.T) {
		c := login(t, n, nil)
		if err := c.Create("Mod", nil).Wait(); err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{"one", "two", "three"} {
			store(t, c, "Mod", mail(s))
		}
		data, err := c.Select("Mod", &imap.SelectOptions{CondStore: true}).Wait()
		if err != nil || data.HighestModSeq == 0 {
			t.Fatalf("SELECT (CONDSTORE): %+v, %v", data, err)
		}
		flag(t, c, imap.SeqSetNum(2), imap.StoreFlagsAdd, imap.FlagFlagged)
		changed, err := c.Fetch(imap.SeqSet{{Start: 1}}, &imap.FetchOptions{Flags: true, ModSeq: true, ChangedSince: data.HighestModSeq}).Collect()
		if err != nil || len(changed) != 1 || changed[0].SeqNum != 2 || changed[0].ModSeq <= data.HighestModSeq {
			t.Errorf("FETCH (CHANGEDSINCE): %+v, %v", changed, err)
		}
		// The client knows an older state than there is: nothing may change.
		refused, err := c.Store(imap.SeqSetNum(2), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}},
			&imap.StoreOptions{UnchangedSince: data.HighestModSeq}).Collect()
		if slices.ContainsFunc(refused, func(m *imapclient.FetchMessageBuffer) bool { return slices.Contains(m.Flags, imap.FlagDeleted) }) {
			t.Errorf("STORE (UNCHANGEDSINCE) of a changed message went through: %v, %v", refused, err)
		}
	})

	t.Run("quota", func(t *testing.T) {
		c := login(t, n, nil)
		if _, err := c.GetQuotaRoot("INBOX").Wait(); err != nil {
			t.Error(err)
		}
	})

	t.Run("idle", func(t *testing.T) {
		exists, expunged, flags := make(chan uint32, 16), make(chan uint32, 16), make(chan uint32, 16)
		watcher := login(t, n, &imapclient.UnilateralDataHandler{
			Mailbox: func(data *imapclient.UnilateralDataMailbox) {
				if data.NumMessages != nil {
					exists <- *data.NumMessages
				}
			},
			Expunge: func(seq uint32) { expunged <- seq },
			Fetch: func(m *imapclient.FetchMessageData) {
				if _, err := m.Collect(); err == nil {
					flags <- m.SeqNum
				}
			},
		})
		writer := login(t, n, nil)
		if err := writer.Create("Watched", nil).Wait(); err != nil {
			t.Fatal(err)
		}
		open(t, watcher, "Watched")
		idle, err := watcher.Idle()
		if err != nil {
			t.Fatal(err)
		}
		store(t, writer, "Watched", mail("first"))
		await(t, "EXISTS", exists, 1)
		store(t, writer, "Watched", mail("next"))
		await(t, "EXISTS", exists, 2)
		open(t, writer, "Watched")
		flag(t, writer, imap.SeqSetNum(2), imap.StoreFlagsAdd, imap.FlagSeen)
		await(t, "FETCH", flags, 2)
		flag(t, writer, imap.SeqSetNum(1), imap.StoreFlagsAdd, imap.FlagDeleted)
		await(t, "FETCH", flags, 1)
		if err := writer.Expunge().Close(); err != nil {
			t.Fatal(err)
		}
		await(t, "EXPUNGE", expunged, 1)
		if err := idle.Close(); err != nil {
			t.Fatal(err)
		}
		if err := idle.Wait(); err != nil {
			t.Error(err)
		}
	})
}

// uids are the UIDs of a set that a response gave.
func uids(set imap.NumSet) []imap.UID {
	us, _ := set.(imap.UIDSet)
	list, _ := us.Nums()
	return list
}

// await waits for an update. What comes before it is another update, or it.
func await(t *testing.T, what string, updates <-chan uint32, want uint32) {
	t.Helper()
	select {
	case got := <-updates:
		if got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("no %s in 20 s", what)
	}
}
