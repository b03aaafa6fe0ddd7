package imapserver

import (
	"errors"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/wire"
	"github.com/starling-mail/starling/mailstore"
)

// A command says where a command may be used and what does it.
type command struct {
	in state // the states that it is allowed in
	// numbers marks commands at whose end no EXPUNGE may be told, because a
	// client may have further commands with sequence numbers under way (RFC 9051 §7.5.1).
	numbers bool
	// needs is what the account's mailboxes must be able to do; otherwise the command is unknown.
	needs mailstore.Ability
	// run reads the rest of the command and carries it out. It leaves responses in c.enc; nil is
	// answered with OK, or with what c.reply writes.
	run func(c *conn) error
}

// commands has all commands but IDLE's DONE.
var commands = map[string]command{
	"CAPABILITY": {in: anyState, run: (*conn).capability},
	"NOOP":       {in: anyState, run: (*conn).noop},
	"LOGOUT":     {in: anyState, run: (*conn).logout},
	"ID":         {in: anyState, run: (*conn).id},

	"STARTTLS":     {in: notAuthenticated, run: (*conn).startTLS},
	"LOGIN":        {in: notAuthenticated, run: (*conn).login},
	"AUTHENTICATE": {in: notAuthenticated, run: (*conn).authenticate},

	"ENABLE":       {in: loggedIn, run: (*conn).enable},
	"COMPRESS":     {in: loggedIn, run: (*conn).compress},
	"SELECT":       {in: loggedIn, run: (*conn).selectMailbox},
	"EXAMINE":      {in: loggedIn, run: (*conn).examine},
	"CREATE":       {in: loggedIn, run: (*conn).create},
	"DELETE":       {in: loggedIn, run: (*conn).delete},
	"RENAME":       {in: loggedIn, run: (*conn).rename},
	"SUBSCRIBE":    {in: loggedIn, run: (*conn).subscribe},
	"UNSUBSCRIBE":  {in: loggedIn, run: (*conn).unsubscribe},
	"LIST":         {in: loggedIn, run: (*conn).list},
	"LSUB":         {in: loggedIn, run: (*conn).lsub},
	"NAMESPACE":    {in: loggedIn, run: (*conn).namespace},
	"STATUS":       {in: loggedIn, run: (*conn).status},
	"APPEND":       {in: loggedIn, run: (*conn).append},
	"IDLE":         {in: loggedIn, run: (*conn).beginIdle},
	"GETQUOTA":     {in: loggedIn, needs: mailstore.QuotaRoots, run: (*conn).getQuota},
	"GETQUOTAROOT": {in: loggedIn, needs: mailstore.QuotaRoots, run: (*conn).getQuotaRoot},
	"SETQUOTA":     {in: loggedIn, needs: mailstore.QuotaRoots, run: (*conn).setQuota},

	"CHECK":       {in: selected, run: (*conn).noop}, // RFC 3501 §6.4.1
	"CLOSE":       {in: selected, run: (*conn).close},
	"UNSELECT":    {in: selected, run: (*conn).unselectCommand},
	"EXPUNGE":     {in: selected, run: (*conn).expunge},
	"UID EXPUNGE": {in: selected, needs: mailstore.UIDPlus, run: (*conn).uidExpunge},
	"SEARCH":      {in: selected, numbers: true, run: (*conn).search},
	"UID SEARCH":  {in: selected, run: (*conn).uidSearch},
	"FETCH":       {in: selected, numbers: true, run: (*conn).fetch},
	"UID FETCH":   {in: selected, run: (*conn).uidFetch},
	"STORE":       {in: selected, numbers: true, run: (*conn).store},
	"UID STORE":   {in: selected, run: (*conn).uidStore},
	"COPY":        {in: selected, run: (*conn).copy},
	"UID COPY":    {in: selected, run: (*conn).uidCopy},
	"MOVE":        {in: selected, needs: mailstore.Moving, run: (*conn).move},
	"UID MOVE":    {in: selected, needs: mailstore.Moving, run: (*conn).uidMove},
}

// next reads and runs one command, of which something has arrived, and counts it.
func (c *conn) next() error {
	defer c.count()
	if c.idle != "" {
		return c.endIdle()
	}
	cmd, err := c.dec.Command()
	start := time.Now()
	c.outcome = outcomeCut
	if err != nil {
		err = c.answer(cmd, err)
	} else {
		err = c.run(cmd)
	}
	c.srv.counters.ended(cmd.Name, c.outcome, time.Since(start))
	return err
}

// run runs one command.
func (c *conn) run(cmd wire.Command) error {
	spec, ok := commands[cmd.Name]
	switch {
	case !ok || c.lacks(spec.needs):
		return c.answer(cmd, bad("unknown command"))
	case spec.in&c.state == 0:
		return c.answer(cmd, c.wrongState(spec.in))
	}
	c.tag, c.reply, c.after, c.byNumber = cmd.Tag, nil, nil, false
	err := spec.run(c)
	if err == nil && cmd.Name == "IDLE" {
		c.idle, c.outcome = cmd.Tag, outcomeOK // answered when it ends
		return nil
	}
	if c.session != nil && !isFatal(err) {
		if err := c.tell(!spec.numbers && !c.byNumber); err != nil {
			return err
		}
	}
	if err := c.answer(cmd, err); err != nil {
		return err
	}
	if c.after != nil {
		return c.after(c)
	}
	return nil
}

// isFatal reports whether a command's error ends the connection, so that nothing
// more is told.
func isFatal(err error) bool { return err != nil && statusFor(err) == nil }

// wrongState explains why a command with these states cannot be used now.
func (c *conn) wrongState(in state) error {
	switch {
	case c.state == notAuthenticated:
		return bad("log in first")
	case in == notAuthenticated:
		return bad("already logged in")
	default:
		return bad("no mailbox is selected")
	}
}

// answer writes the tagged response to a command that ended with err, or
// returns the error that the connection ends with. What is left of the command is
// skipped before the next one is read.
func (c *conn) answer(cmd wire.Command, err error) error {
	if c.state != notAuthenticated {
		c.began = time.Now()
	}
	if err == nil {
		c.outcome = outcomeOK
		if c.reply != nil {
			c.reply(cmd.Tag)
		} else {
			c.enc.Status(cmd.Tag, imap.StatusResponseTypeOK, "", cmd.Name+" completed")
		}
		return nil
	}
	st := statusFor(err)
	if st == nil {
		if err == errLogout {
			c.outcome = outcomeOK
		}
		return desync(err)
	}
	c.outcome = outcomeNO
	if st.kind == imap.StatusResponseTypeBad {
		c.outcome = outcomeBAD
	}
	c.enc.Status(cmd.Tag, st.kind, st.code, st.text) // untagged if no tag could be read (RFC 9051 §7.1.3)
	if st.code == "SERVERBUG" || st.code == "CORRUPTION" {
		c.log(c.srv.opts.Log.Error()).Err(err).Msg("command failed")
	}
	if st.kind == imap.StatusResponseTypeBad && c.state == notAuthenticated {
		if c.bad++; c.bad > c.srv.settings.Load().MaxBadCommands {
			return &byeError{text: "too many bad commands"}
		}
	}
	if err := c.flush(); err != nil {
		return err
	}
	// A client that waits for "+" has its answer and goes on with a new command.
	return desync(c.dec.Discard())
}

// desync turns the error that the next command cannot be found into a BYE.
func desync(err error) error {
	if e, ok := errors.AsType[*wire.SyntaxError](err); ok {
		return &byeError{code: imap.ResponseCodeClientBug, text: e.Msg}
	}
	if e, ok := errors.AsType[*wire.TooBigError](err); ok {
		return &byeError{code: imap.ResponseCodeTooBig, text: e.Error()}
	}
	return err
}
