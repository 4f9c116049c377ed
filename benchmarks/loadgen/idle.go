package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// runIdle opens one connection per account, lets them wait, and reports what they cost: memory, and with `watch` the
// processor at rest.
func runIdle(base string, accounts []*Account, roots []Root, par int, settle, watch time.Duration) *IdleResult {
	res := &IdleResult{Mode: "idle"}
	var before Costs
	before.memory(roots)
	b := &bench{}
	conns := make([]*client, len(accounts))
	var failed atomic.Int64
	t := time.Now()
	_ = forAll(len(accounts), par, func(i int) error {
		ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
		defer stop()
		c, err := dial(ctx, base, accounts[i], Handler{Frame: func([]byte) {}, Ack: func(uint32) {}, Fail: b.fail})
		if err != nil {
			failed.Add(1)
			b.fail(err, false)
			return nil
		}
		conns[i] = c
		return nil
	})
	took := time.Since(t)
	time.Sleep(settle)
	m := startMeter(roots)
	time.Sleep(watch)
	res.Costs, res.Watched = m.stop(), watch.Seconds()
	res.memory(roots)
	res.PSSBefore = before.PSS
	res.ConnFailed, res.Dead = int(failed.Load()), int(b.dead.Load())
	res.Errors, res.FirstErr = int(b.errs.Load()), b.errOne
	res.Conns = len(accounts) - res.ConnFailed - res.Dead
	if res.Conns > 0 {
		res.KiBPerConn = r3((res.PSS - before.PSS) * 1024 / float64(res.Conns))
	}
	res.ConnPerSec = r3(float64(len(accounts)) / took.Seconds())
	b.quiet.Store(true)
	for _, c := range conns {
		if c != nil {
			c.Close()
		}
	}
	return res
}

// forAll runs f for 0..n-1 in par goroutines and returns the first error.
func forAll(n, par int, f func(int) error) error {
	var next atomic.Int64
	var once sync.Once
	var first error
	var wg sync.WaitGroup
	for range min(par, n) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(i); err != nil {
					once.Do(func() { first = err })
					next.Store(int64(n))
					return
				}
			}
		})
	}
	wg.Wait()
	return first
}
