package e2e

import (
	"net/textproto"
	"strings"
)

// An lmtpClient delivers to user, one message after the other.
type lmtpClient struct{ *textproto.Conn }

func dialLMTP(addr string) (*lmtpClient, error) {
	c, err := textproto.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	l := &lmtpClient{c}
	if _, _, err = c.ReadResponse(220); err == nil {
		err = l.say(250, "LHLO e2e.example")
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return l, nil
}

// deliver delivers one message. Without an error it was taken.
func (l *lmtpClient) deliver(text string) error {
	for _, step := range []struct {
		code    int
		command string
	}{
		{250, "MAIL FROM:<grace@example.org>"},
		{250, "RCPT TO:<" + user + ">"},
		{354, "DATA"},
		{250, strings.ReplaceAll(text, "\r\n.", "\r\n..") + "."},
	} {
		if err := l.say(step.code, step.command); err != nil {
			return err
		}
	}
	return nil
}

// say sends a command and wants an answer.
func (l *lmtpClient) say(code int, command string) error {
	if err := l.PrintfLine("%s", command); err != nil {
		return err
	}
	_, _, err := l.ReadResponse(code)
	return err
}
