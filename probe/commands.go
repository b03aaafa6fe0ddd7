package probe

import (
	"errors"
	"fmt"
	"net/textproto"
	"strings"
	"time"

	"github.com/emersion/go-imap"
	"github.com/emersion/go-imap/commands"
	"github.com/emersion/go-imap/responses"
	"github.com/emersion/go-imap/utf7"
)

// A probeMail is the one message of an exchange.
type probeMail struct{ id string } // Message-ID

func (m probeMail) text(from, to string) string {
	return strings.Join([]string{
		"From: IMAP probe <probe@" + domain + ">",
		"Date: " + time.Now().Format(time.RFC1123Z),
		"Subject: From " + header(from) + " to " + header(to),
		"Message-ID: " + m.id,
		"",
		"imapd probe measures how soon this message is told elsewhere. It may be deleted.",
		"",
	}, "\r\n")
}

// domain is that of what a probe writes (RFC 2606).
const domain = "probe.invalid"

// header makes text safe for a header field.
func header(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

func (c *conn) create(box string) error { return c.do(&commands.Create{Mailbox: box}, nil) }
func (c *conn) delete(box string) error { return c.do(&commands.Delete{Mailbox: box}, nil) }
func (c *conn) noop() error             { return c.do(new(commands.Noop), nil) }
func (c *conn) expunge() error          { return c.do(new(commands.Expunge), nil) }
func (c *conn) unselect() error         { return c.do(new(commands.Close), nil) }

func (c *conn) selectBox(box string) error {
	c.view.follow(0)
	return c.do(&commands.Select{Mailbox: box}, nil)
}

// logout says good-bye and closes the connection.
func (c *conn) logout() {
	c.do(new(commands.Logout), nil) // it is closed either way
	c.close()
}

// append stores a message. It waits for the server to ask for it: go-imap's own
// APPEND would wait for ever if the server went away before.
func (c *conn) append(box, text string) error {
	name, err := utf7.Encoding.NewEncoder().String(box)
	if err != nil {
		return err
	}
	l := &literal{text: text + "\r\n", replies: make(chan []byte, 1)}
	return c.do(&imap.Command{Name: "APPEND", Arguments: []any{
		imap.FormatMailboxName(name), []any{imap.RawString(imap.SeenFlag)}, imap.RawString(fmt.Sprintf("{%d}", len(text))),
	}}, l)
}

// A literal is sent once, when the server asks for it.
type literal struct {
	text    string
	replies chan []byte
}

// Handle implements responses.Handler.
func (l *literal) Handle(resp imap.Resp) error {
	if _, ok := resp.(*imap.ContinuationReq); !ok || l.text == "" {
		return responses.ErrUnhandled
	}
	l.replies <- []byte(l.text)
	l.text = ""
	return nil
}

// Replies implements responses.Replier.
func (l *literal) Replies() <-chan []byte { return l.replies }

// search returns the number of the message, or its UID; 0 if it is not there.
func (c *conn) search(m probeMail, uid bool) (uint32, error) {
	var cmd imap.Commander = &commands.Search{Criteria: &imap.SearchCriteria{Header: textproto.MIMEHeader{"Message-Id": {m.id}}}}
	if uid {
		cmd = &commands.Uid{Cmd: cmd}
	}
	found := new(responses.Search)
	if err := c.do(cmd, found); err != nil || len(found.Ids) == 0 {
		return 0, err
	}
	return found.Ids[len(found.Ids)-1], nil
}

// addFlag sets a flag of the message with a UID.
func (c *conn) addFlag(uid uint32, flag string) error {
	set := new(imap.SeqSet)
	set.AddNum(uid)
	return c.do(&commands.Uid{Cmd: &commands.Store{SeqSet: set, Item: imap.FormatFlagsOp(imap.AddFlags, true), Value: []any{imap.RawString(flag)}}}, nil)
}

// uid finds the message on the connection that has stored it.
func (c *conn) uid(m probeMail) (uint32, error) {
	if err := c.noop(); err != nil { // a server need not have told of it yet
		return 0, err
	}
	uid, err := c.search(m, true)
	if err == nil && uid == 0 {
		err = errors.New(c.node.Name + ": the message that was appended is not there")
	}
	return uid, err
}
