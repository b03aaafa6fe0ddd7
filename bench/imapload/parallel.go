package main

import (
	"sync"
	"sync/atomic"
)

// parallel calls do(0) to do(n-1), conc at once, and returns how many failed
// and the first failure.
func parallel(n, conc int, do func(i int) error) (failed int, first error) {
	var next atomic.Int64
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range min(conc, n) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(i); err != nil {
					mu.Lock()
					if failed++; first == nil {
						first = err
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return failed, first
}
