package main

import "time"

// Load describes one measured run.
type Load struct {
	Mode     string // closed, window or open
	Window   int
	Rate     float64 // messages or requests a second in all, open mode
	Cap      int     // most messages in flight per pair, open mode
	Size     int
	Warmup   time.Duration
	Duration time.Duration
	Drain    time.Duration
}

// Costs are what a measured window took of the machine. PSS divides shared pages among their users; RSS counts
// Postgres's shared buffers once per backend.
type Costs struct {
	CPU       float64            `json:"server_cpu_s"`
	CPUPer1k  float64            `json:"server_cpu_s_per_1k,omitempty"`
	CPUByRoot map[string]float64 `json:"server_cpu_s_by_root,omitempty"`
	PSS       float64            `json:"server_pss_mib"`
	RSS       float64            `json:"server_rss_mib"`
	PSSByRoot map[string]float64 `json:"server_pss_mib_by_root,omitempty"`
	GenCPU    float64            `json:"generator_cpu_s"`
	OtherCPU  float64            `json:"other_cpu_s"` // of all other processes: repeat a run where this is not small
	StealCPU  float64            `json:"steal_cpu_s"` // what the hypervisor took away
}

// Result is what a load on sockets came to.
type Result struct {
	Mode     string  `json:"mode"`
	Pairs    int     `json:"pairs"`
	Window   int     `json:"window,omitempty"`
	Rate     float64 `json:"rate,omitempty"`
	Size     int     `json:"size"`
	Seconds  float64 `json:"seconds"`
	Sent     int     `json:"sent"`
	Received int     `json:"received"`
	InWindow int     `json:"delivered_in_window"`
	PerSec   float64 `json:"delivered_per_s"`
	Latency  *Dist   `json:"latency_ms,omitempty"`     // from the sender's write to the receiver's read
	DueLat   *Dist   `json:"latency_due_ms,omitempty"` // open mode: from the moment the message was due
	Ack      *Dist   `json:"ack_ms,omitempty"`         // from the sender's write to its ack
	Lost     int     `json:"lost"`                     // of the whole run, warm-up too
	Dup      int     `json:"duplicated"`
	Reorder  int     `json:"reordered"`
	Unsent   int     `json:"unsent"` // open mode: the pair had -cap messages in flight already
	Errors   int     `json:"errors"`
	FirstErr string  `json:"first_error,omitempty"`
	Dead     int     `json:"disconnects"`
	Costs
}

// IdleResult is what connections that only wait came to.
type IdleResult struct {
	Mode       string  `json:"mode"`
	Conns      int     `json:"connections"`
	ConnFailed int     `json:"connections_failed"`
	ConnPerSec float64 `json:"connects_per_s"`
	KiBPerConn float64 `json:"kib_per_connection"`
	PSSBefore  float64 `json:"server_pss_mib_before"`
	Watched    float64 `json:"watched_s,omitempty"` // server_cpu_s is of these seconds
	Errors     int     `json:"errors"`
	FirstErr   string  `json:"first_error,omitempty"`
	Dead       int     `json:"disconnects"`
	Costs
}

// HTTPResult is what a load of requests came to.
type HTTPResult struct {
	Mode     string         `json:"mode"`
	Par      int            `json:"connections"`
	Rate     float64        `json:"rate,omitempty"`
	Seconds  float64        `json:"seconds"`
	Sent     int            `json:"sent"`
	Answered int            `json:"answered"` // with 2xx, of the whole run
	InWindow int            `json:"answered_in_window"`
	PerSec   float64        `json:"requests_per_s"`
	Latency  *Dist          `json:"latency_ms,omitempty"`     // from the write to the end of the answer
	DueLat   *Dist          `json:"latency_due_ms,omitempty"` // open mode: from the moment the request was due
	Bytes    float64        `json:"bytes_per_answer"`
	Stale    int            `json:"stale"` // answers that said they were behind (Chat-Stale)
	Errors   int            `json:"errors"`
	Statuses map[string]int `json:"statuses"`
	FirstErr string         `json:"first_error,omitempty"`
	Costs
}
