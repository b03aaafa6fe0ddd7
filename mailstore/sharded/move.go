package sharded

import (
	"context"
	"errors"
	"time"

	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/postgres"
)

const opMove = "move account"

const (
	// rounds is how often an account is copied while it is used, at most: each time what has changed since.
	rounds = 10
	// fewMessages is how many changed messages are left for the moment when writers wait.
	fewMessages = 200
	// moveAttempts is how often a move is begun again by itself.
	moveAttempts = 3
)

// ShardOf implements mailstore.AccountMover.
func (s *Store) ShardOf(ctx context.Context, account mailbox.AccountID) (string, error) {
	sh, err := s.locate(ctx, "find shard", account)
	if err != nil {
		return "", err
	}
	return sh.Name, nil
}

// MoveAccount implements mailstore.AccountMover. Writers wait for MovePause at most.
// A move that was broken off, at any point, goes on where it was when it is begun again; until its turning point the account is where it was,
// and from then on where it was moved to, for every node, whoever ends the move.
//
// The turning point is the commit by which the account leaves the database where it was. Everything is there by then, but hidden; what
// follows, that it is shown there and that the directory says so, is done by whoever finds that it has not been done.
func (s *Store) MoveAccount(ctx context.Context, account mailbox.AccountID, to string, report func(mailstore.MoveReport)) (err error) {
	if _, err := s.named(opMove, to); err != nil {
		return &mailbox.Error{Kind: mailbox.Cannot, Op: opMove, Text: "there is no shard of that name", Err: err}
	}
	for range moveAttempts {
		var paused time.Duration
		paused, err = s.move(ctx, account, to, report)
		if err == nil {
			report(mailstore.MoveReport{Done: true, Paused: paused})
			return nil
		}
		switch mailbox.KindOf(err) {
		case mailbox.Unavailable, mailbox.Expunged, mailbox.Corrupt: // a busy moment, or another process was faster; something went while it was copied; a mailbox is copied again
		default:
			return err
		}
		if ctx.Err() != nil {
			return err
		}
		s.o.Log.Warn().Err(err).Stringer("account", account).Str("shard", to).Msg("the account is not moved yet; it is tried again")
	}
	return err
}

// step is a point of a move at which a test may have it end.
func (s *Store) step(name string) error {
	if s.interrupt == nil {
		return nil
	}
	return s.interrupt(name)
}

// move does what MoveAccount does, once.
func (s *Store) move(ctx context.Context, account mailbox.AccountID, to string, report func(mailstore.MoveReport)) (paused time.Duration, err error) {
	p, err := s.endMove(ctx, account, to)
	if err != nil || p.Shard == to {
		return 0, err
	}
	token := mailbox.NewID()
	from, err := s.reached(p.Shard)
	if err != nil {
		return 0, err
	}
	dest, err := s.reached(to)
	if err != nil {
		return 0, err
	}
	if err := s.directory().BeginMove(ctx, account, p.Shard, to); err != nil {
		return 0, err
	}
	p.Moving = to
	if err := s.step("begun"); err != nil {
		return 0, err
	}
	gone, err := from.BeginDeparture(ctx, account, to, token)
	if err != nil {
		return 0, err
	}
	if gone {
		return 0, &mailbox.Error{Kind: mailbox.Unavailable, Op: opMove, Text: "another process has just moved the account"}
	}
	a, err := dest.BeginArrival(ctx, account, p.Shard, token)
	if err != nil {
		return 0, err
	}
	if err := s.copyOver(ctx, from, account, a, report); err != nil {
		return 0, err
	}
	if err := s.step("copied"); err != nil {
		return 0, err
	}
	if paused, err = s.turn(ctx, from, account, token, a); err != nil {
		return 0, err
	}
	if err := s.step("gone"); err != nil {
		return paused, err
	}
	return paused, s.arrive(ctx, p)
}

// endMove ends what a move before left: one that has passed its turning point is completed; one that has
// not and went somewhere else is given up. It returns where the account is then.
func (s *Store) endMove(ctx context.Context, account mailbox.AccountID, to string) (postgres.Place, error) {
	for {
		p, err := s.directory().Find(ctx, account)
		if err != nil || p.Moving == "" {
			return p, err
		}
		gone, err := s.departed(ctx, p)
		switch {
		case err != nil:
			return p, err
		case gone != "":
			p.Moving = gone
			if err := s.arrive(ctx, p); err != nil {
				return p, err
			}
		case p.Moving == to:
			return p, nil
		default:
			if err := s.giveUp(ctx, p); err != nil {
				return p, err
			}
		}
	}
}

// giveUp ends a move that has not passed its turning point. Whoever is at it finds that out at the next step.
func (s *Store) giveUp(ctx context.Context, p postgres.Place) error {
	from, err := s.reached(p.Shard)
	if err != nil {
		return err
	}
	dest, err := s.reached(p.Moving)
	if err != nil {
		return err
	}
	theirs, err := dest.ArrivalToken(ctx, p.Account)
	if err != nil {
		return err
	}
	// After this nobody who has begun can have the account leave; and who begins from now on has another token.
	ours := mailbox.NewID()
	if gone, err := from.BeginDeparture(ctx, p.Account, p.Moving, ours); err != nil || gone {
		return err
	}
	if err := s.step("giving up"); err != nil {
		return err
	}
	if err := dest.DropArrival(ctx, p.Account, theirs); err != nil {
		return err
	}
	if err := s.directory().CancelMove(ctx, p); err != nil {
		return err
	}
	return from.CancelDeparture(ctx, p.Account, ours)
}

// reached returns the store of a shard, if it has been reached.
func (s *Store) reached(name string) (*postgres.Store, error) {
	sh, err := s.named(opMove, name)
	if err != nil {
		return nil, err
	}
	return sh.get(opMove)
}

// copyOver copies an account while it is used: all of it, which is compared, and then what has changed meanwhile, until that is little.
func (s *Store) copyOver(ctx context.Context, from *postgres.Store, account mailbox.AccountID, a *postgres.Arrival, report func(mailstore.MoveReport)) error {
	for round := range rounds {
		changed := 0
		if err := from.Survey(ctx, account, func(l *postgres.Leaving) error {
			if round == 0 {
				report(mailstore.MoveReport{Total: l.Total()})
			}
			var stop error
			if err := a.Copy(ctx, l, func(c postgres.Copied) {
				changed += c.Messages
				report(mailstore.MoveReport{Mailbox: c.Box, Bytes: c.Bytes})
				stop = errors.Join(stop, s.step("copying"))
			}); err != nil || stop != nil {
				return errors.Join(err, stop)
			}
			if round > 0 {
				return nil
			}
			if err := a.Seal(ctx, l); err != nil {
				return err
			}
			return a.Verify(ctx, l)
		}); err != nil {
			return err
		}
		if err := s.step("round"); err != nil {
			return err
		}
		if round > 0 && changed <= fewMessages {
			return nil
		}
	}
	return nil
}

// turn copies what is left while writers wait, verifies it, and has the account leave.
func (s *Store) turn(ctx context.Context, from *postgres.Store, account mailbox.AccountID, token postgres.MoveToken, a *postgres.Arrival) (time.Duration, error) {
	began := time.Now()
	err := from.Depart(ctx, account, token, s.o.MovePause, func(l *postgres.Leaving) error {
		ctx, cancel := context.WithDeadline(ctx, began.Add(s.o.MovePause))
		defer cancel()
		if err := a.Copy(ctx, l, func(postgres.Copied) {}); err != nil {
			return err
		}
		if err := a.Seal(ctx, l); err != nil {
			return err
		}
		if err := a.Verify(ctx, l); err != nil {
			return err
		}
		return s.step("sealed")
	})
	return time.Since(began), err
}

// departed returns for which shard an account has left, or "" if it has not.
func (s *Store) departed(ctx context.Context, p postgres.Place) (string, error) {
	from, err := s.reached(p.Shard)
	if err != nil {
		return "", err
	}
	return from.Departed(ctx, p.Account)
}

// arrive completes a move that has passed its turning point: p.Shard has said that the account has left for p.Moving.
func (s *Store) arrive(ctx context.Context, p postgres.Place) error {
	dest, err := s.reached(p.Moving)
	if err != nil {
		return err
	}
	if err := dest.Activate(ctx, p.Account); err != nil {
		return err
	}
	if err := s.step("active"); err != nil {
		return err
	}
	if err := s.directory().EndMove(ctx, p); err != nil {
		return err
	}
	return s.step("switched")
}

// finishMoves completes all moves that have passed their turning point and ended there.
func (s *Store) finishMoves(ctx context.Context) error {
	moves, err := s.directory().Moves(ctx)
	for _, p := range moves {
		if _, e := s.arrived(ctx, opMove, p); e != nil && mailbox.KindOf(e) != mailbox.NonExistent {
			err = errors.Join(err, e)
		}
	}
	return err
}
