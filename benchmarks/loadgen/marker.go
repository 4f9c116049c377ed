package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Every message body starts with a marker that names its run, pair and number:
// "~r<run>.<pair>.<seq>~". It has no character that JSON would escape,
// so it is found in a raw frame without decoding it.

func body(run string, pair int, seq uint32, size int) string {
	var sb strings.Builder
	sb.Grow(size)
	fmt.Fprintf(&sb, "~r%s.%d.%d~ ", run, pair, seq)
	const fill = "the quick brown fox jumps over the lazy dog and then some more text follows "
	for sb.Len() < size {
		n := min(size-sb.Len(), len(fill))
		sb.WriteString(fill[:n])
	}
	return sb.String()
}

// markers calls f for every marker of this run in b.
func markers(b []byte, prefix []byte, f func(pair int, seq uint32)) {
	for {
		i := bytes.Index(b, prefix)
		if i < 0 {
			return
		}
		b = b[i+len(prefix):]
		e := bytes.IndexByte(b, '~')
		if e < 0 {
			return
		}
		dot := bytes.IndexByte(b[:e], '.')
		if dot > 0 {
			p, err1 := strconv.Atoi(string(b[:dot]))
			s, err2 := strconv.ParseUint(string(b[dot+1:e]), 10, 32)
			if err1 == nil && err2 == nil {
				f(p, uint32(s))
			}
		}
		b = b[e+1:]
	}
}
