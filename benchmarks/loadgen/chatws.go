package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

const readLimit = 4 << 20

// Handler is what a connection reports to the run. All three may be called from any goroutine.
type Handler struct {
	// Frame gets every frame that the server pushed. The run looks for its own markers inside (marker.go), so that
	// message bodies are not decoded. Time is taken on entry.
	Frame func(b []byte)
	// Ack says that the server accepted the message seq that this client sent.
	Ack func(seq uint32)
	// Fail says that the server refused a message, or that the connection died (fatal).
	Fail func(err error, fatal bool)
}

// client is one live connection of the chat service's socket protocol.
type client struct {
	c      *websocket.Conn
	ctx    context.Context
	cancel context.CancelFunc
}

// dial opens an authenticated connection and starts to read.
func dial(ctx context.Context, base string, a *Account, h Handler) (*client, error) {
	c, _, err := websocket.Dial(ctx, base+"/chat/connect?token="+url.QueryEscape(a.Token), nil)
	if err != nil {
		return nil, err
	}
	c.SetReadLimit(readLimit)
	cc, cancel := context.WithCancel(context.Background())
	w := &client{c: c, ctx: cc, cancel: cancel}
	go w.loop(a, h)
	return w, nil
}

var idKey, errKey = []byte(`"client_id"`), []byte(`"type":"error"`)

func (w *client) loop(a *Account, h Handler) {
	for {
		_, b, err := w.c.Read(w.ctx)
		if err != nil {
			if w.ctx.Err() == nil {
				h.Fail(err, true)
			}
			return
		}
		h.Frame(b)
		switch {
		case bytes.Contains(b, idKey):
			answered(b, a, h)
		case bytes.Contains(b, errKey):
			h.Fail(fmt.Errorf("%.300s", b), false)
		}
	}
}

// answered looks at a frame that carries a client_id: the ack of a message of ours, or its error.
func answered(b []byte, a *Account, h Handler) {
	var r struct {
		Type string `json:"type"`
		ID   string `json:"client_id"`
	}
	if json.Unmarshal(b, &r) != nil {
		return
	}
	if r.Type == "error" {
		h.Fail(fmt.Errorf("%.300s", b), false)
		return
	}
	me, seq, ok := strings.Cut(r.ID, ":")
	if n, err := strconv.ParseUint(seq, 10, 32); ok && err == nil && me == clientID(a.Name) {
		h.Ack(uint32(n))
	}
}

// A client_id counts once in a conversation, for ever, so each run has ids of its own.
var runID = strconv.FormatInt(time.Now().UnixNano(), 36)

func clientID(account string) string { return account + "." + runID }

// Send writes one message; it does not wait for the ack.
func (w *client) Send(p *Pair, seq uint32, text string) error {
	return w.c.Write(w.ctx, websocket.MessageText, []byte(`{"type":"message","conversation_id":`+p.Conv+`,"content":"`+text+
		`","content_type":"text","client_id":"`+clientID(p.A.Name)+":"+strconv.FormatUint(uint64(seq), 10)+`"}`))
}

func (w *client) Close() {
	w.cancel()
	_ = w.c.CloseNow()
}
