package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// runLoad connects both ends of every pair, sends as l says, and counts what arrives.
func runLoad(base string, pairs []*Pair, roots []Root, l Load) (*Result, error) {
	b := &bench{load: l, run: strconv.FormatInt(time.Now().UnixMilli(), 36)}
	b.start = time.Now()
	for _, p := range pairs {
		b.pairs = append(b.pairs, &pairRun{p: p, top: -1})
	}
	defer b.close()
	if err := b.connect(base); err != nil {
		return nil, err
	}
	time.Sleep(time.Second) // let presence traffic settle

	w := 1
	if l.Mode == "window" {
		w = l.Window
	}
	if l.Mode != "open" {
		for _, r := range b.pairs {
			r.tokens = make(chan struct{}, 1<<16)
			for range w {
				r.tokens <- struct{}{}
			}
		}
	}
	b.t0, b.t1 = int64(l.Warmup), int64(l.Warmup+l.Duration)
	b.start = time.Now()
	ctx, stop := context.WithDeadline(context.Background(), b.start.Add(l.Warmup+l.Duration))
	defer stop()
	var wg sync.WaitGroup
	for i := range b.pairs {
		wg.Go(func() { b.drive(ctx, i) })
	}
	time.Sleep(time.Until(b.start.Add(l.Warmup)))
	m := startMeter(roots)
	time.Sleep(time.Until(b.start.Add(l.Warmup + l.Duration)))
	costs := m.stop()
	wg.Wait()
	b.drain()

	res := b.result()
	res.Costs = costs
	res.per(res.InWindow)
	res.memory(roots)
	if l.Mode == "open" {
		res.Rate = l.Rate
	} else {
		res.Window = w
	}
	return res, nil
}

func (b *bench) connect(base string) error {
	prefix := []byte("~r" + b.run + ".")
	return forAll(len(b.pairs), 8, func(i int) error {
		c, stop := context.WithTimeout(context.Background(), time.Minute)
		defer stop()
		r := b.pairs[i]
		var err error
		sender := Handler{Frame: func([]byte) {}, Ack: func(s uint32) { b.ackd(i, s) }, Fail: b.fail}
		if r.a, err = dial(c, base, r.p.A, sender); err != nil {
			return fmt.Errorf("dial %s: %w", r.p.A.Name, err)
		}
		receiver := Handler{Frame: func(f []byte) { b.receive(i, f, prefix) }, Ack: func(uint32) {}, Fail: b.fail}
		if r.b, err = dial(c, base, r.p.B, receiver); err != nil {
			return fmt.Errorf("dial %s: %w", r.p.B.Name, err)
		}
		return nil
	})
}

func (b *bench) close() {
	b.quiet.Store(true)
	for _, r := range b.pairs {
		if r.a != nil {
			r.a.Close()
		}
		if r.b != nil {
			r.b.Close()
		}
	}
}

// drain waits for what is still in flight.
func (b *bench) drain() {
	for end := time.Now().Add(b.load.Drain); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		left := int32(0)
		for _, r := range b.pairs {
			left += r.flight.Load()
		}
		if left <= 0 {
			break
		}
	}
	time.Sleep(200 * time.Millisecond) // a late copy of something received would show now
}

func (b *bench) result() *Result {
	l := b.load
	res := &Result{Mode: l.Mode, Pairs: len(b.pairs), Size: l.Size, Seconds: l.Duration.Seconds()}
	var lat, due, ack []float64
	for _, r := range b.pairs {
		r.mu.Lock()
		res.Sent += len(r.sent)
		n := 0
		for _, g := range r.got {
			n += int(g)
		}
		res.Received += n
		res.Lost += len(r.sent) - n
		res.InWindow += r.inWin
		res.Dup += r.dup
		res.Reorder += r.reorder
		lat = append(lat, r.lat...)
		due = append(due, r.dueLat...)
		ack = append(ack, r.ack...)
		r.mu.Unlock()
	}
	res.PerSec = r3(float64(res.InWindow) / l.Duration.Seconds())
	res.Latency, res.DueLat, res.Ack = distOf(lat), distOf(due), distOf(ack)
	res.Errors, res.Dead, res.Unsent = int(b.errs.Load()), int(b.dead.Load()), int(b.unsent.Load())
	res.FirstErr = b.errOne
	return res
}
