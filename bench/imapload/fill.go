package main

import "sync/atomic"

// fillBoxes brings the mailbox of each of the first users up to o.fill
// messages, and returns the count that the first user's has.
func fillBoxes(o *options, users int) (int, error) {
	first := 0
	for u := range users {
		c, err := o.open(u, o.addrs[0])
		if err != nil {
			return 0, err
		}
		c.ensureBox(o.mailbox)
		have, err := c.selectBox(o.mailbox)
		c.close()
		if err != nil {
			return 0, err
		}
		if missing := o.fill - have; missing > 0 {
			const writers = 4
			var next atomic.Int64
			next.Store(int64(have))
			failed, err := parallel(writers, writers, func(int) error {
				c, err := o.open(u, o.addrs[0])
				if err != nil {
					return err
				}
				defer c.close()
				for {
					i := int(next.Add(1)) - 1
					if i >= o.fill {
						return nil
					}
					if err := c.append(o.mailbox, message(i, o.size)); err != nil {
						return err
					}
				}
			})
			if failed > 0 {
				return 0, err
			}
			have = o.fill
		}
		if u == 0 {
			first = have
		}
	}
	return first, nil
}
