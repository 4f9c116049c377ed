// A client of the chat service for browsers and Node, as an ES module without a build step.
//
//   const chat = new ChatClient("wss://chat.example", () => token);
//   chat.on("message", (message) => console.log(message.content));
//   chat.start();
//   const sent = await chat.send(conversationId, "hello");
//
// It connects, resumes without gap or double, and sends each message once: it keeps the last cursor and of each
// partition the highest position, gives them back on reconnecting, and sends what was not acknowledged again under the
// same client_id. SharedChatClient is the same for a page whose tabs share one socket.
//
// In Node before 22 give a WebSocket class: new ChatClient(url, token, { WebSocket }).

const FINAL_CODES = new Set([1000, 4401, 4429]); // after these a client does not come back by itself
const RETRIED = new Set(["RATE_LIMITED", "SERVICE_UNAVAILABLE"]);
const FIRST_PAUSE = 200;
const LONGEST_PAUSE = 10_000;
const CONNECT_MILLISECONDS = 10_000;
const SILENCE = 2.5; // heartbeat intervals without a frame after which the server is taken for gone

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
  // `token` is a JWT, or a function that returns a fresh one (or a promise of it) for each connection.
  // `state`, from an earlier client's `state`, resumes there.
  #url;
  #token;
  #WebSocket;
  #handlers = new Map();
  #cursor = null;
  #positions = new Map();
  #pending = new Map();
  #socket = null;
  #pause = FIRST_PAUSE;
  #silence = 50_000;
  #watch = null;
  #again = null;
  #closed = true;
  #online = false;

  constructor(url, token, { WebSocket = globalThis.WebSocket, state = null } = {}) {
    this.#url = `${url.replace(/\/$/, "")}/chat/connect`;
    this.#token = token;
    this.#WebSocket = WebSocket;
    if (state) {
      this.#cursor = state.cursor;
      this.#positions = new Map(Object.entries(state.positions));
    }
  }

  get state() {
    return { cursor: this.#cursor, positions: Object.fromEntries(this.#positions) };
  }

  // Call `handler` with every frame of a type: message, read, typing, online, offline, conversation, blocked,
  // unblocked, connected, disconnected, closed, error, and resync (read the lists and histories again).
  on(kind, handler) {
    this.#handlers.set(kind, [...(this.#handlers.get(kind) ?? []), handler]);
  }

  start() {
    this.#closed = false;
    this.#connect();
  }

  close() {
    this.#giveUp(null);
  }

  // Resolves with the ack (message_id, seq, sent_at) once the message is in the log, however often the connection is
  // lost meanwhile; rejects with Refused, or with ChatClosed when the outcome stays unknown.
  send(conversation_id, content, client_id = crypto.randomUUID()) {
    const frame = { type: "message", conversation_id, content, client_id };
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new ChatClosed(null));
      this.#pending.set(client_id, { frame, resolve, reject });
      if (this.#online) this.#tell(frame);
    });
  }

  read(message_id) {
    this.#tell({ type: "read", message_id });
  }

  typing(conversation_id) {
    this.#tell({ type: "typing", conversation_id });
  }

  show(online) {
    this.#tell({ type: online ? "online" : "offline" });
  }

  // Go on with a fresh token of the same user, without a new connection.
  renew(token) {
    this.#tell({ type: "auth", token });
  }

  async #connect() {
    let token;
    try {
      token = typeof this.#token === "function" ? await this.#token() : this.#token;
    } catch {
      return this.#later();
    }
    if (this.#closed) return;
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
      for (const frame of Array.isArray(received) ? received : [received]) this.#take(frame);
    };
    socket.onclose = ({ code }) => {
      if (socket === this.#socket) this.#lost(code);
    };
    socket.onerror = () => {};
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
    if (this.#online) {
      this.#online = false;
      this.#call({ type: "disconnected", code });
    }
    if (this.#closed) return;
    if (FINAL_CODES.has(code)) this.#giveUp(code);
    else this.#later();
  }

  // Full jitter: the clients of an edge that went away do not come back all at once.
  #later() {
    this.#again = setTimeout(() => this.#connect(), Math.random() * this.#pause);
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
  }

  #giveUp(code) {
    this.#closed = true;
    this.#online = false;
    clearTimeout(this.#watch);
    clearTimeout(this.#again);
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

  #take(frame) {
    switch (frame.type) {
      case "connected":
        this.#connected(frame);
        break;
      case "ack":
        this.#settle(frame);
        break;
      case "error":
        this.#refused(frame);
        break;
      case "heartbeat":
      case "pong":
        break;
      case "message":
        // One of ours that had arrived before the connection was lost, or anybody's.
        if (this.#pending.has(frame.client_id)) this.#settle(frame);
        else this.#call(frame);
        break;
      default:
        this.#call(frame);
    }
    this.#count(frame);
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

  #connected(frame) {
    this.#silence = SILENCE * frame.heartbeat_seconds * 1000;
    this.#expect(this.#silence);
    this.#pause = FIRST_PAUSE;
    this.#online = true;
    this.#call(frame);
    for (const { frame: pending } of this.#pending.values()) this.#tell(pending);
  }

  #settle(frame) {
    const pending = this.#pending.get(frame.client_id);
    this.#pending.delete(frame.client_id);
    pending?.resolve(frame);
  }

  #refused(frame) {
    const pending = this.#pending.get(frame.client_id);
    if (pending === undefined) {
      this.#call(frame);
    } else if (RETRIED.has(frame.code)) {
      const again = () => this.#online && this.#pending.has(frame.client_id) && this.#tell(pending.frame);
      setTimeout(again, (frame.details.retry_after ?? 1) * 1000);
    } else {
      this.#pending.delete(frame.client_id);
      pending.reject(new Refused(frame));
    }
  }

  #call(frame) {
    for (const handler of this.#handlers.get(frame.type) ?? []) handler(frame);
  }
}

// The same for the tabs of one user, which share one socket: whichever tab holds the lock has it, the others speak with
// that tab over a channel, and when it is closed another goes on where it was. `name` tells users apart.
export class SharedChatClient {
  #open;
  #channel;
  #locks;
  #name;
  #handlers = new Map();
  #waiting = new Map();
  #client = null;
  #state = null;
  #release = null;

  constructor(url, token, { name, locks = globalThis.navigator?.locks, Channel = globalThis.BroadcastChannel, ...options }) {
    this.#open = (state) => new ChatClient(url, token, { ...options, state });
    this.#name = `chat:${name}`;
    this.#locks = locks;
    this.#channel = new Channel(this.#name);
    this.#channel.onmessage = ({ data }) => this.#hear(data);
  }

  on(kind, handler) {
    this.#handlers.set(kind, [...(this.#handlers.get(kind) ?? []), handler]);
  }

  start() {
    this.#locks.request(this.#name, () => {
      this.#lead();
      return new Promise((release) => (this.#release = release));
    });
  }

  // Leave; the other tabs go on.
  close() {
    this.#client?.close();
    this.#client = null;
    this.#channel.close();
    this.#release?.();
  }

  send(conversation_id, content, client_id = crypto.randomUUID()) {
    return new Promise((resolve, reject) => {
      this.#waiting.set(client_id, { args: [conversation_id, content, client_id], resolve, reject });
      this.#ask("send", [conversation_id, content, client_id]);
    });
  }

  read(message_id) {
    this.#ask("read", [message_id]);
  }

  typing(conversation_id) {
    this.#ask("typing", [conversation_id]);
  }

  show(online) {
    this.#ask("show", [online]);
  }

  renew(token) {
    this.#ask("renew", [token]);
  }

  #ask(call, args) {
    if (this.#client) this.#run(call, args);
    else this.#channel.postMessage({ call, args });
  }

  // Of the tab with the socket: do what was asked, and tell whoever asked.
  #run(call, args) {
    const done = this.#client[call](...args);
    if (call !== "send") return;
    const tell = (outcome) => {
      this.#channel.postMessage({ answered: args[2], ...outcome });
      this.#hear({ answered: args[2], ...outcome });
    };
    done.then(
      (ack) => tell({ ack }),
      (error) => tell(error instanceof Refused ? { refused: error.frame } : { closed: error.code }),
    );
  }

  #lead() {
    const kinds = ["message", "read", "typing", "online", "offline", "conversation", "blocked", "unblocked"];
    kinds.push("connected", "disconnected", "closed", "error", "resync");
    this.#client = this.#open(this.#state);
    for (const kind of kinds) {
      this.#client.on(kind, (frame) => {
        this.#call(frame);
        // After this frame was counted, so that who goes on does not ask for it again.
        queueMicrotask(() => this.#client && this.#channel.postMessage({ frame, state: this.#client.state }));
      });
    }
    this.#client.start();
    this.#channel.postMessage({ leads: true });
    for (const { args } of this.#waiting.values()) this.#run("send", args);
  }

  #hear({ call, args, frame, state, leads, answered, ack, refused, closed }) {
    if (call !== undefined && this.#client) {
      this.#run(call, args);
    } else if (frame !== undefined) {
      this.#state = state;
      this.#call(frame);
    } else if (leads) {
      // The last tab may have gone before it asked: the same client_id makes one message of it.
      for (const waiting of this.#waiting.values()) this.#ask("send", waiting.args);
    } else if (answered !== undefined && this.#waiting.has(answered)) {
      const { resolve, reject } = this.#waiting.get(answered);
      this.#waiting.delete(answered);
      if (ack) resolve(ack);
      else reject(refused ? new Refused(refused) : new ChatClosed(closed));
    }
  }

  #call(frame) {
    for (const handler of this.#handlers.get(frame.type) ?? []) handler(frame);
  }
}
