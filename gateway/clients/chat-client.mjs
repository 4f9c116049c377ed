// A client of the chat service for browsers and Node, as an ES module without a build step.
//
//   const chat = new ChatClient("wss://chat.example", () => token);
//   chat.on("message", (message) => console.log(message.content));
//   chat.start();
//   const sent = await chat.send(conversationId, "hello");
//
// It connects, resumes without gap or double, and sends each message once: it keeps the last cursor and of each
// partition the highest position, gives them back on reconnecting, and sends what was not acknowledged again under the
// same client_id. Tabs that share one socket: shared-chat-client.mjs.
//
// In Node before 22 give a WebSocket class: new ChatClient(url, token, { WebSocket }).

const FINAL_CODES = new Set([1000, 4401, 4429]); // after these a client does not come back by itself
const RETRIED = new Set(["RATE_LIMITED", "SERVICE_UNAVAILABLE"]);
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 10_000;
const CONNECT_MILLISECONDS = 10_000;
const SILENCE = 2.5; // heartbeat intervals without a frame after which the server is taken for gone
const RENEWED_AFTER = 0.8; // of the time that is left to a token
const LONGEST_TIMEOUT = 2 ** 31 - 1;
const MOST_BYTES = 65_536; // of a frame; the service ends the connection that brings a longer one
const TOO_LARGE = { error: `a frame has at most ${MOST_BYTES} bytes`, code: "PAYLOAD_TOO_LARGE", details: {} };

export class Refused extends Error {
  // The service refused a request; `frame` is its error, with `code` and `details`.
  constructor(frame) {
    super(frame.error);
    this.frame = frame;
    this.code = frame.code;
  }
}

export class ChatClosed extends Error {
  // The connection has ended for good; `code` is the server's, or null when the application closed it.
  constructor(code) {
    super(`closed with ${code}`);
    this.code = code;
  }
}

export class ChatClient {
  // `token` is a JWT, or a function that returns a fresh one (or a promise of it): for each connection, and before the
  // last one expires. `state`, from an earlier client's `state`, resumes there.
  #url;
  #token;
  #WebSocket;
  #handlers = new Map();
  #cursor = null;
  #positions = new Map();
  #hidden = false;
  #pending = new Map(); // by client_id, in the order of sending
  #held = new Map(); // timers of conversations in which nothing may be sent for a while
  #socket = null;
  #attempt = 0;
  #pause = FIRST_PAUSE;
  #silence = 50_000;
  #connectedAt = null;
  #watch = null;
  #again = null;
  #renewal = null;
  #closed = true;

  constructor(url, token, { WebSocket = globalThis.WebSocket, state = null } = {}) {
    this.#url = `${url.replace(/\/$/, "")}/chat/connect`;
    this.#token = token;
    this.#WebSocket = WebSocket;
    if (state) {
      this.#cursor = state.cursor;
      this.#positions = new Map(Object.entries(state.positions));
      this.#hidden = state.hidden;
    }
  }

  // What a later client resumes from, and what `show` was told; within a handler it includes the frame that is being
  // handled.
  get state() {
    return { cursor: this.#cursor, positions: Object.fromEntries(this.#positions), hidden: this.#hidden };
  }

  // Call `handler` with every frame of a type: message, ack (of one's own, with its content), read, typing, online,
  // offline, conversation, blocked, unblocked, connected, disconnected, closed, error, and resync (read the lists and
  // histories again).
  on(kind, handler) {
    this.#handlers.set(kind, [...(this.#handlers.get(kind) ?? []), handler]);
  }

  // Begin to connect; also again, after the connection has ended for good.
  start() {
    if (!this.#closed) return;
    this.#closed = false;
    this.#connect();
  }

  close() {
    this.#giveUp(null);
  }

  // Resolves with the ack (message_id, seq, sent_at) once the message is in the log, however often the connection is
  // lost meanwhile; rejects with Refused, or with ChatClosed when the outcome stays unknown.
  send(conversation_id, content, client_id = crypto.randomUUID()) {
    if (this.#closed) return Promise.reject(new ChatClosed(null));
    if (this.#pending.has(client_id)) return this.#pending.get(client_id).promise;
    const frame = { type: "message", conversation_id, content, client_id };
    const bytes = new TextEncoder().encode(JSON.stringify(frame)).length;
    if (bytes > MOST_BYTES) return Promise.reject(new Refused(TOO_LARGE));
    const pending = { frame };
    pending.promise = new Promise((resolve, reject) => Object.assign(pending, { resolve, reject }));
    this.#pending.set(client_id, pending);
    this.#submit(frame);
    return pending.promise;
  }

  read(message_id) {
    this.#tell({ type: "read", message_id });
  }

  typing(conversation_id) {
    this.#tell({ type: "typing", conversation_id });
  }

  // Be seen as online or offline, on later connections too.
  show(online) {
    this.#hidden = !online;
    this.#tell({ type: online ? "online" : "offline" });
  }

  // Go on with a fresh token of the same user, without a new connection, and on later ones. A token that is a function
  // needs no such call.
  renew(token) {
    if (typeof this.#token !== "function") this.#token = token;
    this.#tell({ type: "auth", token });
  }

  async #connect() {
    const attempt = ++this.#attempt;
    const current = () => attempt === this.#attempt && !this.#closed;
    let token;
    try {
      token = await this.#freshToken();
    } catch {
      if (current()) this.#later();
      return;
    }
    if (!current()) return;
    const query = new URLSearchParams({ token, batch: "1" });
    if (this.#cursor !== null) {
      query.set("cursor", this.#cursor);
      query.set("positions", [...this.#positions].map(([number, offset]) => `${number}:${offset}`).join(","));
    }
    const socket = new this.#WebSocket(`${this.#url}?${query}`);
    this.#socket = socket;
    this.#expect(CONNECT_MILLISECONDS);
    socket.onmessage = ({ data }) => {
      if (socket !== this.#socket) return;
      this.#expect(this.#silence);
      const received = JSON.parse(data);
      for (const frame of Array.isArray(received) ? received : [received]) {
        if (socket !== this.#socket) break; // a handler has closed
        this.#take(frame, token);
      }
    };
    socket.onclose = ({ code }) => {
      if (socket === this.#socket) this.#lost(code);
    };
    socket.onerror = () => {};
  }

  async #freshToken() {
    if (typeof this.#token !== "function") return this.#token;
    const token = await this.#token();
    if (typeof token !== "string") throw new Error("no token");
    return token;
  }

  // Take the connection for lost if nothing comes within this time.
  #expect(milliseconds) {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => {
      const socket = this.#socket;
      this.#lost(null);
      socket?.close();
    }, milliseconds);
  }

  #lost(code) {
    this.#socket = null;
    clearTimeout(this.#watch);
    clearTimeout(this.#renewal);
    if (this.#connectedAt !== null) {
      if (performance.now() - this.#connectedAt > this.#pause) this.#pause = FIRST_PAUSE;
      this.#connectedAt = null;
      const attempt = this.#attempt;
      this.#call({ type: "disconnected", code });
      if (this.#closed || attempt !== this.#attempt) return; // a handler has closed, and may have begun again
    }
    if (FINAL_CODES.has(code)) this.#giveUp(code);
    else this.#later();
  }

  // Full jitter: the clients of an edge that went away do not come back all at once. The next pause is longer, unless
  // the connection then holds longer than that.
  #later() {
    clearTimeout(this.#again);
    this.#again = setTimeout(() => this.#connect(), Math.random() * this.#pause);
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
  }

  #giveUp(code) {
    if (this.#closed) return;
    this.#closed = true;
    this.#connectedAt = null;
    for (const timer of [this.#watch, this.#again, this.#renewal, ...this.#held.values()]) clearTimeout(timer);
    this.#held.clear();
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    for (const { reject } of this.#pending.values()) reject(new ChatClosed(code));
    this.#pending.clear();
    this.#call({ type: "closed", code });
  }

  #tell(frame) {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(frame));
  }

  // Send a message now, unless those before it in the conversation have to wait too, or there is no connection.
  #submit(frame) {
    if (this.#connectedAt !== null && !this.#held.has(frame.conversation_id)) this.#tell(frame);
  }

  #take(frame, token) {
    this.#count(frame);
    switch (frame.type) {
      case "connected":
        this.#connected(frame, token);
        break;
      case "error":
        this.#refused(frame);
        break;
      case "ack":
        this.#settle(frame);
        break;
      case "message":
        // One of ours that had arrived before the connection was lost, or anybody's.
        if (this.#pending.has(frame.client_id)) this.#settle(frame);
        else this.#call(frame);
        break;
      case "heartbeat":
      case "pong":
        break;
      default:
        this.#call(frame);
    }
  }

  // Any cursor replaces the cursor and the positions kept; of each partition keep the highest since.
  #count(frame) {
    if (frame.cursor !== undefined) {
      this.#cursor = frame.cursor;
      this.#positions.clear();
    }
    if (frame.position !== undefined) {
      const [number, offset] = frame.position.split(":");
      this.#positions.set(number, Math.max(Number(offset), this.#positions.get(number) ?? -1));
    }
  }

  #connected(frame, token) {
    this.#silence = SILENCE * frame.heartbeat_seconds * 1000;
    this.#expect(this.#silence);
    this.#connectedAt = performance.now();
    if (this.#hidden) this.show(false);
    if (typeof this.#token === "function") {
      this.#renewBefore(expiry(token), Date.parse(frame.server_time) - performance.now());
    }
    for (const { frame: pending } of this.#pending.values()) this.#submit(pending);
    this.#call(frame);
  }

  // Ask for a fresh token before this one expires, and go on with it. `ahead`: of the server's time before ours, which
  // counts on whatever is done to the clock.
  #renewBefore(expires, ahead) {
    if (expires === null) return;
    const pause = Math.max(1_000, RENEWED_AFTER * (expires - ahead - performance.now()));
    const socket = this.#socket;
    const renew = async () => {
      const token = await this.#freshToken().catch(() => null);
      if (socket !== this.#socket) return;
      if (token !== null) this.renew(token);
      this.#renewBefore(token === null ? expires : expiry(token), ahead);
    };
    this.#renewal = setTimeout(renew, Math.min(pause, LONGEST_TIMEOUT));
  }

  #settle(frame) {
    const pending = this.#pending.get(frame.client_id);
    if (pending === undefined) return;
    this.#pending.delete(frame.client_id);
    const ack = { ...frame, type: "ack", content: pending.frame.content };
    pending.resolve(ack);
    this.#call(ack);
  }

  #refused(frame) {
    const pending = this.#pending.get(frame.client_id);
    if (pending === undefined) {
      this.#call(frame);
    } else if (RETRIED.has(frame.code)) {
      this.#hold(pending.frame.conversation_id, frame.details.retry_after ?? 1);
    } else {
      this.#pending.delete(frame.client_id);
      pending.reject(new Refused(frame));
    }
  }

  // Send nothing in a conversation for a while, and then everything that waits, in order.
  #hold(conversation_id, seconds) {
    if (this.#held.has(conversation_id)) return;
    const submit = () => {
      this.#held.delete(conversation_id);
      for (const { frame } of this.#pending.values()) if (frame.conversation_id === conversation_id) this.#submit(frame);
    };
    this.#held.set(conversation_id, setTimeout(submit, seconds * 1000));
  }

  #call(frame) {
    for (const handler of this.#handlers.get(frame.type) ?? []) {
      try {
        handler(frame);
      } catch (error) {
        // Reported as uncaught; the frames behind this one are not to be lost for it.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}

// When a JWT expires, in milliseconds since the epoch; null if it does not say.
function expiry(token) {
  try {
    const { exp } = JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
    return Number.isFinite(exp) ? exp * 1000 : null;
  } catch {
    return null;
  }
}
