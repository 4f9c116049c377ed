// Loadgen puts load on a chat service over its sockets (run, idle) or its HTTP (http) and prints one line of JSON.
//
// It is started by benchmarks/loadgen.py, which also writes the files it reads. `relay` is a null server that speaks
// the same socket protocol and stores nothing: where the generator itself is the limit.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	if err := mainErr(); err != nil {
		fmt.Fprintln(os.Stderr, "loadgen:", err)
		os.Exit(1)
	}
}

func mainErr() error {
	if len(os.Args) < 2 {
		return fmt.Errorf("usage: loadgen run|idle|http|relay [flags]")
	}
	cmd := os.Args[1]
	fs := flag.NewFlagSet(cmd, flag.ExitOnError)
	var l Load
	fs.StringVar(&l.Mode, "mode", "closed", "closed, window or open")
	fs.IntVar(&l.Window, "window", 8, "messages in flight per pair, window mode")
	fs.Float64Var(&l.Rate, "rate", 500, "messages or requests a second in all, open mode")
	fs.IntVar(&l.Cap, "cap", 256, "most messages in flight per pair, open mode")
	fs.IntVar(&l.Size, "size", 100, "bytes of text per message")
	fs.DurationVar(&l.Warmup, "warmup", 2*time.Second, "load before the measured window")
	fs.DurationVar(&l.Duration, "duration", 10*time.Second, "measured window")
	fs.DurationVar(&l.Drain, "drain", 10*time.Second, "longest wait for messages still in flight")
	var (
		addr     = fs.String("url", "", "base address of the server: ws://… for sockets, http://… for requests")
		state    = fs.String("state", "", "file with accounts and conversations, or with requests")
		roots    = fs.String("roots", "", "server process trees to account for: name=pid,name=pid")
		pairs    = fs.Int("pairs", 100, "pairs of users")
		accounts = fs.Int("accounts", 0, "idle connections to open")
		par      = fs.Int("par", 8, "connections opened side by side, or used for requests")
		settle   = fs.Duration("settle", 5*time.Second, "wait before memory is read, idle")
		watch    = fs.Duration("watch", 0, "how long the processor is watched at rest, idle")
		listen   = fs.String("listen", "127.0.0.1:0", "address of the relay")
	)
	_ = fs.Parse(os.Args[2:])
	raiseFiles()
	if cmd == "relay" {
		ln, err := net.Listen("tcp", *listen)
		if err != nil {
			return err
		}
		fmt.Println(ln.Addr())
		return http.Serve(ln, newRelay())
	}
	rs, err := parseRoots(*roots)
	if err != nil {
		return err
	}
	var res any
	switch cmd {
	case "run", "idle":
		res, err = sockets(cmd, *addr, *state, rs, l, max(*accounts, 2**pairs), *pairs, *par, *settle, *watch)
	case "http":
		var rq *Requests
		if rq, err = loadRequests(*state); err == nil {
			res, err = runHTTP(*addr, rq, rs, l, *par)
		}
	default:
		err = fmt.Errorf("no command %q", cmd)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(res)
}

func sockets(cmd, addr, state string, rs []Root, l Load, accounts, pairs, par int, settle, watch time.Duration) (any, error) {
	s, err := loadState(state)
	if err != nil {
		return nil, err
	}
	if cmd == "idle" {
		if accounts > len(s.Accounts) {
			return nil, fmt.Errorf("the state file has %d accounts, not %d", len(s.Accounts), accounts)
		}
		return runIdle(addr, s.Accounts[:accounts], rs, par, settle, watch), nil
	}
	if pairs > len(s.Pairs) {
		return nil, fmt.Errorf("the state file has %d pairs, not %d", len(s.Pairs), pairs)
	}
	return runLoad(addr, s.Pairs[:pairs], rs, l)
}
