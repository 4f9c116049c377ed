package main

import (
	"math"
	"slices"
)

// Dist is a latency distribution in milliseconds.
type Dist struct {
	N    int     `json:"n"`
	P10  float64 `json:"p10"`
	P25  float64 `json:"p25"`
	P50  float64 `json:"p50"`
	P75  float64 `json:"p75"`
	P90  float64 `json:"p90"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99.9"`
	Max  float64 `json:"max"`
	Mean float64 `json:"mean"`
}

func distOf(v []float64) *Dist {
	if len(v) == 0 {
		return nil
	}
	slices.Sort(v)
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	// nearest rank
	q := func(p float64) float64 { return r3(v[max(0, int(math.Ceil(p*float64(len(v))))-1)]) }
	return &Dist{N: len(v), P10: q(.1), P25: q(.25), P50: q(.5), P75: q(.75), P90: q(.9), P95: q(.95), P99: q(.99), P999: q(.999),
		Max: r3(v[len(v)-1]), Mean: r3(sum / float64(len(v)))}
}

func r3(x float64) float64 { return math.Round(x*1000) / 1000 }
