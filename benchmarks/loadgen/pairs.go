package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

type pairRun struct {
	p    *Pair
	a, b *client

	mu      sync.Mutex
	due     []int64 // by number, nanoseconds since start
	sent    []int64 // likewise
	got     []uint8
	acked   []bool
	top     int64 // highest number received
	lat     []float64
	dueLat  []float64
	ack     []float64
	inWin   int
	dup     int
	reorder int
	flight  atomic.Int32
	tokens  chan struct{}
}

type bench struct {
	load   Load
	run    string
	start  time.Time
	t0, t1 int64
	pairs  []*pairRun
	errs   atomic.Int64
	dead   atomic.Int64
	unsent atomic.Int64
	errMu  sync.Mutex
	errOne string
	quiet  atomic.Bool
}

func (b *bench) fail(err error, fatal bool) {
	if b.quiet.Load() {
		return
	}
	if fatal {
		b.dead.Add(1)
	} else {
		b.errs.Add(1)
	}
	b.errMu.Lock()
	if b.errOne == "" {
		b.errOne = err.Error()
	}
	b.errMu.Unlock()
}

// inside says whether a moment lies in the measured window.
func (b *bench) inside(t int64) bool { return t >= b.t0 && t < b.t1 }

func (b *bench) receive(i int, frame []byte, prefix []byte) {
	now := int64(time.Since(b.start))
	markers(frame, prefix, func(pair int, seq uint32) {
		if pair != i {
			b.fail(fmt.Errorf("pair %d received a message of pair %d", i, pair), false)
			return
		}
		r := b.pairs[i]
		r.mu.Lock()
		if int(seq) >= len(r.sent) {
			r.mu.Unlock()
			b.fail(fmt.Errorf("pair %d received number %d, never sent", i, seq), false)
			return
		}
		if r.got[seq] > 0 {
			r.dup++
			r.mu.Unlock()
			return
		}
		r.got[seq] = 1
		if int64(seq) < r.top {
			r.reorder++
		} else {
			r.top = int64(seq)
		}
		if b.inside(now) {
			r.inWin++
		}
		if b.inside(r.due[seq]) {
			r.lat = append(r.lat, float64(now-r.sent[seq])/1e6)
			if b.load.Mode == "open" {
				r.dueLat = append(r.dueLat, float64(now-r.due[seq])/1e6)
			}
		}
		r.mu.Unlock()
		r.flight.Add(-1)
		if r.tokens != nil {
			r.tokens <- struct{}{}
		}
	})
}

func (b *bench) ackd(i int, seq uint32) {
	now := int64(time.Since(b.start))
	r := b.pairs[i]
	r.mu.Lock()
	defer r.mu.Unlock()
	if int(seq) >= len(r.sent) || r.acked[seq] {
		return
	}
	r.acked[seq] = true
	if b.inside(r.sent[seq]) {
		r.ack = append(r.ack, float64(now-r.sent[seq])/1e6)
	}
}

// send writes the next message of a pair; due is when it should have gone out.
func (b *bench) send(i int, due int64) error {
	r := b.pairs[i]
	r.mu.Lock()
	seq := uint32(len(r.sent))
	now := int64(time.Since(b.start))
	if due < 0 {
		due = now
	}
	r.due = append(r.due, due)
	r.sent = append(r.sent, now)
	r.got = append(r.got, 0)
	r.acked = append(r.acked, false)
	r.mu.Unlock()
	r.flight.Add(1)
	return r.a.Send(r.p, seq, body(b.run, i, seq, b.load.Size))
}

func (b *bench) drive(ctx context.Context, i int) {
	r := b.pairs[i]
	if b.load.Mode != "open" {
		for {
			select {
			case <-ctx.Done():
				return
			case <-r.tokens:
			}
			if ctx.Err() != nil {
				return
			}
			if err := b.send(i, -1); err != nil {
				b.fail(err, false)
				return
			}
		}
	}
	gap := float64(len(b.pairs)) / b.load.Rate * 1e9
	next := gap * float64(i) / float64(len(b.pairs))
	for ; ; next += gap {
		if d := time.Duration(next) - time.Since(b.start); d > 0 {
			select {
			case <-ctx.Done():
				return
			case <-time.After(d):
			}
		}
		if ctx.Err() != nil {
			return
		}
		if int(r.flight.Load()) >= b.load.Cap {
			if b.inside(int64(next)) {
				b.unsent.Add(1)
			}
			continue
		}
		if err := b.send(i, int64(next)); err != nil {
			b.fail(err, false)
			return
		}
	}
}
