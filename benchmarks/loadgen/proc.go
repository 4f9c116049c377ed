package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const clockTick = 100 // USER_HZ

// Root is a process tree whose cost is counted, without the trees of other roots in it.
type Root struct {
	Name string
	PID  int
}

func parseRoots(s string) ([]Root, error) {
	var out []Root
	for _, part := range strings.Split(s, ",") {
		if part == "" {
			continue
		}
		name, pid, ok := strings.Cut(part, "=")
		n, err := strconv.Atoi(pid)
		if !ok || err != nil {
			return nil, fmt.Errorf("bad root %q, want name=pid", part)
		}
		out = append(out, Root{name, n})
	}
	return out, nil
}

type procStat struct {
	ppid  int
	ticks uint64
}

func readStat(pid string) (procStat, bool) {
	b, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return procStat{}, false
	}
	s := string(b)
	i := strings.LastIndexByte(s, ')')
	if i < 0 {
		return procStat{}, false
	}
	f := strings.Fields(s[i+1:])
	if len(f) < 15 {
		return procStat{}, false
	}
	ppid, _ := strconv.Atoi(f[1])
	var t uint64
	// utime, stime, and cutime, cstime: the last two hold what already reaped
	// children used, so a backend that ended in between is not forgotten.
	for _, k := range []int{11, 12, 13, 14} {
		v, _ := strconv.ParseUint(f[k], 10, 64)
		t += v
	}
	return procStat{ppid, t}, true
}

// Usage is the cost of one process tree at one moment.
type Usage struct {
	CPU   float64 // seconds
	RSS   float64 // MiB, summed, so shared pages count once per process
	PSS   float64 // MiB, shared pages divided among their users
	Procs int
}

// treeUsage also returns what all processes of the machine have used together.
func treeUsage(roots []Root, mem bool) (trees map[string]Usage, cpu float64) {
	all := map[int]procStat{}
	ents, _ := os.ReadDir("/proc")
	kids := map[int][]int{}
	for _, e := range ents {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if st, ok := readStat(e.Name()); ok {
			all[pid] = st
			cpu += float64(st.ticks) / clockTick
			kids[st.ppid] = append(kids[st.ppid], pid)
		}
	}
	out := map[string]Usage{}
	other := map[int]bool{}
	for _, r := range roots {
		other[r.PID] = true
	}
	for _, r := range roots {
		u := out[r.Name]
		stack := []int{r.PID}
		for len(stack) > 0 {
			p := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			st, ok := all[p]
			if !ok {
				continue
			}
			u.Procs++
			u.CPU += float64(st.ticks) / clockTick
			if mem {
				rss, pss := memOf(p)
				u.RSS += rss
				u.PSS += pss
			}
			for _, kid := range kids[p] {
				if !other[kid] {
					stack = append(stack, kid)
				}
			}
		}
		out[r.Name] = u
	}
	return out, cpu
}

func memOf(pid int) (rss, pss float64) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, 0
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		fs := strings.Fields(sc.Text())
		if len(fs) < 2 {
			continue
		}
		v, _ := strconv.ParseFloat(fs[1], 64)
		switch fs[0] {
		case "Rss:":
			rss = v / 1024
		case "Pss:":
			pss = v / 1024
		}
	}
	return rss, pss
}

// selfCPU is the load generator's own processor time in seconds.
func selfCPU() float64 {
	var ru syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
	sec := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return sec(ru.Utime) + sec(ru.Stime)
}

// stolen is the processor time in seconds that the hypervisor gave to others.
func stolen() float64 {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	f := strings.Fields(line)
	if len(f) < 9 {
		return 0
	}
	v, _ := strconv.ParseFloat(f[8], 64)
	return v / clockTick
}

func raiseFiles() {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return
	}
	want := syscall.Rlimit{Cur: 65536, Max: max(l.Max, 65536)}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want) != nil {
		l.Cur = l.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
	}
}
