package admin

import (
	"context"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// mover returns the store and the user's account.
func (s *Service) mover(ctx context.Context, user string) (mailstore.AccountMover, mailbox.AccountID, error) {
	m, ok := s.Store.(mailstore.AccountMover)
	if !ok {
		return nil, mailbox.AccountID{}, &mailbox.Error{Kind: mailbox.Cannot, Op: "find shard", Text: "this store has no shards"}
	}
	u, err := s.user(ctx, user)
	return m, u.Account, err
}

// MoveAccount implements Control.
func (s *Service) MoveAccount(ctx context.Context, user, to string, report func(mailstore.MoveReport)) error {
	m, account, err := s.mover(ctx, user)
	if err != nil {
		return err
	}
	return m.MoveAccount(ctx, account, to, report)
}

// ShardOf implements Control.
func (s *Service) ShardOf(ctx context.Context, user string) (string, error) {
	m, account, err := s.mover(ctx, user)
	if err != nil {
		return "", err
	}
	return m.ShardOf(ctx, account)
}

type moveRequest struct {
	To string `json:"to"`
}

// MoveAccount implements Control.
func (c *Client) MoveAccount(ctx context.Context, user, to string, report func(mailstore.MoveReport)) error {
	return follow(ctx, c, "POST", userPath(user, "/move"), moveRequest{to}, func(m mailstore.MoveReport) bool {
		report(m)
		return true
	})
}

// ShardOf implements Control.
func (c *Client) ShardOf(ctx context.Context, user string) (shard string, err error) {
	return shard, c.ask(ctx, "GET", userPath(user, "/shard"), none{}, &shard)
}
