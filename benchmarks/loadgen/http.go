package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"
)

// Requests is what the http load draws from, each as likely as the others; benchmarks/rest.py writes it.
type Requests struct {
	Tokens   []string `json:"tokens"`
	Requests []struct {
		Method string `json:"method"`
		Path   string `json:"path"`
		Token  int    `json:"token"`
		Body   string `json:"body,omitempty"`
	} `json:"requests"`
}

func loadRequests(path string) (*Requests, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rq := &Requests{}
	if err := json.Unmarshal(b, rq); err != nil {
		return nil, err
	}
	if len(rq.Requests) == 0 {
		return nil, fmt.Errorf("%s has no requests", path)
	}
	return rq, nil
}

// bytes is request i as it goes over the wire.
func (rq *Requests) bytes(i int, host string) []byte {
	r := rq.Requests[i]
	head := r.Method + " " + r.Path + " HTTP/1.1\r\nHost: " + host + "\r\nAuthorization: Bearer " + rq.Tokens[r.Token] + "\r\n"
	if r.Body != "" {
		head += "Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(r.Body)) + "\r\n"
	}
	return []byte(head + "\r\n" + r.Body)
}

type httpWorker struct {
	host     string
	conn     net.Conn
	in       *bufio.Reader
	lat, due []float64
	sent     int
	ok       int
	inWin    int
	bytes    int64
	stale    int
	errs     int
	statuses map[string]int
	first    string
}

// ask sends one request and reads the whole answer; on a broken connection the next one opens another.
func (w *httpWorker) ask(raw []byte, wait time.Duration) bool {
	w.sent++
	if w.conn == nil {
		c, err := net.DialTimeout("tcp", w.host, 10*time.Second)
		if err != nil {
			return w.failed("no connection", err.Error())
		}
		w.conn, w.in = c, bufio.NewReaderSize(c, 64<<10)
	}
	_ = w.conn.SetDeadline(time.Now().Add(wait))
	_, err := w.conn.Write(raw)
	var res *http.Response
	if err == nil {
		res, err = http.ReadResponse(w.in, nil)
	}
	if err != nil {
		w.conn.Close()
		w.conn = nil
		return w.failed("broken", err.Error())
	}
	if res.StatusCode >= 300 {
		b, _ := io.ReadAll(res.Body)
		return w.failed(strconv.Itoa(res.StatusCode), string(b[:min(len(b), 300)]))
	}
	n, _ := io.Copy(io.Discard, res.Body)
	w.bytes += n
	w.ok++
	w.statuses[strconv.Itoa(res.StatusCode)]++
	if res.Header.Get("Chat-Stale") != "" {
		w.stale++
	}
	return true
}

func (w *httpWorker) failed(status, text string) bool {
	w.errs++
	w.statuses[status]++
	if w.first == "" {
		w.first = text
	}
	return false
}

// drive asks again and again, or in open mode when the next request is due.
func (w *httpWorker) drive(rq *Requests, l Load, start time.Time, gap, next time.Duration) {
	rnd := rand.New(rand.NewPCG(uint64(next), 7))
	t0, t1 := start.Add(l.Warmup), start.Add(l.Warmup+l.Duration)
	for due := start.Add(next); ; due = due.Add(gap) {
		if l.Mode == "open" {
			time.Sleep(time.Until(due))
		}
		sent := time.Now()
		if l.Mode != "open" {
			due = sent
		}
		if !due.Before(t1) {
			return
		}
		if !w.ask(rq.bytes(rnd.IntN(len(rq.Requests)), w.host), l.Drain) {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		now := time.Now()
		if !now.Before(t0) && now.Before(t1) {
			w.inWin++
		}
		if !due.Before(t0) {
			w.lat = append(w.lat, float64(now.Sub(sent))/1e6)
			w.due = append(w.due, float64(now.Sub(due))/1e6)
		}
	}
}

// runHTTP asks over par connections, one request at a time on each.
func runHTTP(base string, rq *Requests, roots []Root, l Load, par int) (*HTTPResult, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	workers := make([]*httpWorker, par)
	gap := time.Duration(float64(par) / l.Rate * 1e9)
	start := time.Now()
	var wg sync.WaitGroup
	for i := range workers {
		workers[i] = &httpWorker{host: u.Host, statuses: map[string]int{}}
		wg.Go(func() { workers[i].drive(rq, l, start, gap, gap*time.Duration(i)/time.Duration(par)) })
	}
	time.Sleep(time.Until(start.Add(l.Warmup)))
	m := startMeter(roots)
	time.Sleep(time.Until(start.Add(l.Warmup + l.Duration)))
	costs := m.stop()
	wg.Wait()
	res := &HTTPResult{Mode: l.Mode, Par: par, Seconds: l.Duration.Seconds(), Statuses: map[string]int{}, Costs: costs}
	var lat, due []float64
	var bytes int64
	for _, w := range workers {
		if w.conn != nil {
			w.conn.Close()
		}
		res.Sent, res.Answered, res.InWindow = res.Sent+w.sent, res.Answered+w.ok, res.InWindow+w.inWin
		res.Errors, res.Stale, bytes = res.Errors+w.errs, res.Stale+w.stale, bytes+w.bytes
		for s, n := range w.statuses {
			res.Statuses[s] += n
		}
		if res.FirstErr == "" {
			res.FirstErr = w.first
		}
		lat, due = append(lat, w.lat...), append(due, w.due...)
	}
	res.PerSec = r3(float64(res.InWindow) / l.Duration.Seconds())
	res.Latency = distOf(lat)
	if l.Mode == "open" {
		res.Rate, res.DueLat = l.Rate, distOf(due)
	}
	res.Bytes = r3(float64(bytes) / float64(max(res.Answered, 1)))
	res.per(res.InWindow)
	res.memory(roots)
	return res, nil
}
