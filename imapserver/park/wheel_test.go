package park

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// The wheel against a naive model: random deadlines, set, moved and dropped while time passes.
func TestWheelModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		age := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(rt, "age"))
		steps := rapid.SliceOfN(rapid.Custom(drawStep), 1, 40).Draw(rt, "steps")
		var err error
		synctest.Test(t, func(*testing.T) { err = runWheel(age, steps) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

const wheelTick = 250 * time.Millisecond

type wheelStep struct {
	spot int
	op   string
	time time.Duration
}

func drawStep(t *rapid.T) wheelStep {
	far := rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, 3 * time.Minute, 2 * time.Hour}).Draw(t, "scale")
	return wheelStep{
		spot: rapid.IntRange(0, 4).Draw(t, "spot"),
		op:   rapid.SampledFrom([]string{"park", "park", "wake", "close", "sleep"}).Draw(t, "op"),
		time: time.Duration(rapid.Int64Range(1, int64(far)).Draw(t, "time")),
	}
}

func runWheel(age time.Duration, steps []wheelStep) error {
	type timed struct {
		*Spot
		number   uint32
		deadline time.Time // zero: none
		fired    chan time.Time
	}
	l := NewLot(wheelTick)
	defer l.Close()
	time.Sleep(age)
	var spots [5]timed
	for i := range spots {
		s := &spots[i]
		s.fired = make(chan time.Time, 2)
		s.Spot = &Spot{lot: l, wake: func(Reason) { s.fired <- time.Now() }}
	}
	check := func() error {
		synctest.Wait()
		for i := range spots {
			s := &spots[i]
			select {
			case at := <-s.fired:
				if late := at.Sub(s.deadline); s.deadline.IsZero() || late < 0 || late >= wheelTick {
					return fmt.Errorf("spot %d fired at %v, its deadline was %v", i, at, s.deadline)
				}
				s.deadline = time.Time{}
			default:
				if !s.deadline.IsZero() && time.Since(s.deadline) >= wheelTick {
					return fmt.Errorf("spot %d has not fired %v after its deadline", i, time.Since(s.deadline))
				}
			}
		}
		return nil
	}
	for _, step := range append(steps, wheelStep{op: "sleep", time: 3 * time.Hour}) {
		s := &spots[step.spot]
		switch step.op {
		case "park":
			s.number++
			s.deadline = time.Now().Add(step.time)
			s.state.Store(uint64(s.number)<<parkShift | parked)
			if !l.wheel.set(s.Spot, s.number, s.deadline) {
				return fmt.Errorf("a deadline %v ahead was taken for one that has passed", step.time)
			}
		case "wake":
			s.state.Store(uint64(s.number) << parkShift)
			s.deadline = time.Time{}
		case "close":
			s.state.Store(closed)
			s.deadline = time.Time{}
			l.wheel.drop(s.Spot)
		case "sleep":
			time.Sleep(step.time)
		}
		if err := check(); err != nil {
			return err
		}
	}
	if l.wheel.size != 0 || l.wheel.next != 0 {
		return fmt.Errorf("%d deadlines left, alarm set for tick %d: it does not sleep", l.wheel.size, l.wheel.next)
	}
	return nil
}
