package imapserver_test

import (
	"context"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-imap/v2"
	"github.com/starling-mail/starling/eventbus"

	"github.com/starling-mail/starling/imapserver"
	"github.com/starling-mail/starling/imapserver/imaptest"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/memory"
)

// A foreign store is one whose accounts are somewhere else: it has the optional interfaces.
type foreign struct {
	mailstore.Store
	traits mailstore.Traits
	hook   memory.Hook // for serveForeign
	mail   []string
	auth   imapserver.Authenticator // nil: fakeAuth
	others imap.UIDSet              // messages that others flag at the same time
	world  *memory.World            // from serveForeign
	bus    *eventbus.Bus
	ln     *imaptest.Listener // from serveMemory

	mu    sync.Mutex
	ended []mailbox.AccountID // logins
}

func (f *foreign) Traits(mailbox.AccountID) mailstore.Traits { return f.traits }

func (f *foreign) EndSession(account mailbox.AccountID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = append(f.ended, account)
}

// UpdateFlags returns one Change of what was asked for and of what others have done meanwhile, as a store
// does that knows both from one answer of another server's.
func (f *foreign) UpdateFlags(ctx context.Context, box mailbox.ID, uids imap.UIDSet, u mailstore.FlagUpdate) (mailstore.Flagged, error) {
	all := append(imap.UIDSet(nil), uids...)
	all.AddSet(f.others)
	return f.Store.UpdateFlags(ctx, box, all, u)
}

// TestChangeOfOthers shows that what others have done is told, even if it comes with the answer to one's own command.
func TestChangeOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &foreign{others: imap.UIDSetNum(3)}
		conn := openForeign(t, store)
		conn.Send(". STORE 1 +FLAGS.SILENT (\\Flagged)\r\n")
		synctest.Wait()
		if got := conn.Received(); !strings.Contains(got, "* 3 FETCH (FLAGS (\\Flagged \\Recent))\r\n") {
			t.Errorf("got %q", got)
		}
		conn.Send(". FETCH 1 BODY[]\r\n")
		synctest.Wait()
		if got := conn.Received(); !strings.Contains(got, "* 3 FETCH (FLAGS (\\Seen \\Flagged \\Recent))\r\n") && !strings.Contains(got, "* 3 FETCH (FLAGS (\\Flagged \\Seen \\Recent))\r\n") {
			t.Errorf("got %q", got)
		}
	})
}

// abilities are the names that transcripts have for them.
var abilities = map[string]mailstore.Ability{
	"ModSeqs": mailstore.ModSeqs, "UIDPlus": mailstore.UIDPlus, "Moving": mailstore.Moving, "Binary": mailstore.Binary, "Sizes": mailstore.Sizes,
	"ObjectIDs": mailstore.ObjectIDs, "SaveDates": mailstore.SaveDates, "SpecialUse": mailstore.SpecialUse, "QuotaRoots": mailstore.QuotaRoots,
}

// lacking returns what a transcript says that mailboxes lack.
func lacking(t *testing.T, script string) (lacks mailstore.Ability) {
	for _, line := range regexp.MustCompile(`(?m)^lacks .*$`).FindAllString(script, -1) {
		for _, name := range strings.Fields(line)[1:] {
			if abilities[name] == 0 {
				t.Fatalf("unknown ability %q", name)
			}
			lacks |= abilities[name]
		}
	}
	return lacks
}

// TestEndSession shows that each login that succeeds ends once, however the connection does.
func TestEndSession(t *testing.T) {
	for name, end := range map[string]func(*imaptest.Conn){
		"LOGOUT":  func(c *imaptest.Conn) { c.Send(". LOGOUT\r\n") },
		"gone":    func(c *imaptest.Conn) { c.HangUp() },
		"garbage": func(c *imaptest.Conn) { c.Send(". IDLE\r\nx\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &foreign{}
				settings := imapserver.DefaultSettings()
				settings.MaxPerUser = 1
				ln := serveForeign(t, store, settings)
				login := func(password string) *imaptest.Conn {
					c := ln.Connect()
					c.Send(". LOGIN alice " + password + "\r\n")
					synctest.Wait()
					return c
				}
				first := login("secret")
				login("wrong").HangUp()
				if synctest.Wait(); len(store.ended) != 0 {
					t.Fatal("a login that failed has ended")
				}
				if said := login("secret").Received(); !strings.Contains(said, "NO [LIMIT]") {
					t.Fatal(said)
				}
				if len(store.ended) != 1 {
					t.Fatalf("%d logins have ended of one that was let in but one too many", len(store.ended))
				}
				end(first)
				if synctest.Wait(); len(store.ended) != 2 {
					t.Errorf("%d logins have ended of 2", len(store.ended))
				}
			})
		})
	}
}
