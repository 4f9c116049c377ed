package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestMarkers(t *testing.T) {
	b := body("abc", 7, 42, 100)
	if len(b) != 100 {
		t.Fatalf("body has %d bytes", len(b))
	}
	frame := []byte(`{"x":"` + b + `"}` + "\n" + `{"x":"` + body("abc", 7, 43, 100) + `"}{"x":"` + body("zzz", 1, 1, 60) + `"}`)
	var got []uint32
	markers(frame, []byte("~rabc."), func(p int, s uint32) {
		if p != 7 {
			t.Errorf("pair %d", p)
		}
		got = append(got, s)
	})
	if len(got) != 2 || got[0] != 42 || got[1] != 43 {
		t.Fatalf("got %v", got)
	}
}

func TestDist(t *testing.T) {
	var v []float64
	for i := 100; i >= 1; i-- {
		v = append(v, float64(i))
	}
	d := distOf(v)
	if d.P50 != 50 || d.P95 != 95 || d.P99 != 99 || d.Max != 100 || d.Mean != 50.5 {
		t.Fatalf("%+v", d)
	}
	if distOf(nil) != nil {
		t.Fatal("empty")
	}
}

func TestCounting(t *testing.T) {
	b := &bench{run: "x", start: time.Now(), t0: 0, t1: int64(time.Hour)}
	r := &pairRun{top: -1, sent: make([]int64, 3), due: make([]int64, 3), got: make([]uint8, 3), acked: make([]bool, 3)}
	b.pairs = []*pairRun{r}
	pre := []byte("~rx.")
	for _, s := range []uint32{0, 2, 1, 1} {
		b.receive(0, []byte(body("x", 0, s, 50)), pre)
	}
	if r.dup != 1 || r.reorder != 1 || r.inWin != 3 || len(r.lat) != 3 {
		t.Fatalf("dup %d reorder %d inWin %d lat %d", r.dup, r.reorder, r.inWin, len(r.lat))
	}
	b.receive(0, []byte(body("x", 0, 9, 50)), pre) // never sent
	if b.errs.Load() != 1 {
		t.Fatal("a message that was never sent passed")
	}
}

func TestRelay(t *testing.T) {
	srv := httptest.NewServer(newRelay())
	defer srv.Close()
	base := "ws" + strings.TrimPrefix(srv.URL, "http")
	s := &State{}
	for i := range 8 {
		name := "bench0000" + strconv.Itoa(i)
		s.Accounts = append(s.Accounts, &Account{Name: name, Token: name})
		if i%2 == 1 {
			s.Pairs = append(s.Pairs, &Pair{A: s.Accounts[i-1], B: s.Accounts[i], Conv: strconv.Itoa(i / 2)})
		}
	}
	self := []Root{{"self", os.Getpid()}}
	for _, mode := range []string{"closed", "window", "open"} {
		res, err := runLoad(base, s.Pairs, self, Load{Mode: mode, Window: 8, Rate: 100, Cap: 100, Size: 100,
			Warmup: 100 * time.Millisecond, Duration: 500 * time.Millisecond, Drain: 2 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if res.Sent == 0 || res.Received != res.Sent || res.Lost+res.Dup+res.Reorder+res.Errors+res.Dead+res.Unsent != 0 {
			t.Errorf("%s: %+v", mode, res)
		}
		if res.Latency == nil || res.Ack == nil || res.PSS == 0 {
			t.Errorf("%s: no latency, ack or memory", mode)
		}
		if mode == "open" && (res.DueLat == nil || res.PerSec < 80 || res.PerSec > 120) {
			t.Errorf("open: %v messages a second, want about 100", res.PerSec)
		}
	}
	if res := runIdle(base, s.Accounts, self, 4, 10*time.Millisecond, 10*time.Millisecond); res.Conns != 8 || res.ConnFailed != 0 {
		t.Errorf("idle: %+v", res)
	}
}

func TestHTTP(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer good" {
			http.Error(w, "who?", http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte("12345"))
	}))
	defer srv.Close()
	file := filepath.Join(t.TempDir(), "requests.json")
	text := `{"tokens":["good"],"requests":[{"method":"POST","path":"/x","token":0,"body":"{}"},{"method":"GET","path":"/y","token":0}]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	rq, err := loadRequests(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"closed", "open"} {
		res, err := runHTTP(srv.URL, rq, []Root{{"self", os.Getpid()}}, Load{Mode: mode, Rate: 200,
			Warmup: 100 * time.Millisecond, Duration: 500 * time.Millisecond, Drain: time.Second}, 4)
		if err != nil {
			t.Fatal(err)
		}
		if res.Errors != 0 || res.Answered != res.Sent || res.Bytes != 5 || res.Latency == nil {
			t.Errorf("%s: %+v", mode, res)
		}
		if mode == "open" && (res.PerSec < 160 || res.PerSec > 240) {
			t.Errorf("open: %v requests a second, want about 200", res.PerSec)
		}
	}
	rq.Tokens[0] = "bad"
	if res, _ := runHTTP(srv.URL, rq, nil, Load{Mode: "closed", Rate: 1, Duration: 100 * time.Millisecond, Drain: time.Second}, 1); res.Errors == 0 || res.Answered != 0 {
		t.Errorf("refused: %+v", res)
	}
}
