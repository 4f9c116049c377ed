// The client of chat-client.mjs for the tabs of one user in one browser, which share one socket.
//
//   const chat = new SharedChatClient("wss://chat.example", () => token, { name: userId });
//
// Whichever tab holds the lock has the socket, the others speak with that tab over a channel, and when it is gone,
// closed or crashed, another goes on where it was. What one tab sends the others are told as a `message`. Each tab keeps
// the highest position that it has seen of each partition: what two tabs with the socket, one after the other, both tell
// is handled once. `name` tells users apart.

import { ChatClient, ChatClosed, Refused } from "./chat-client.mjs";

const KINDS =
  "message ack read typing online offline conversation blocked unblocked connected disconnected closed error resync";

export class SharedChatClient {
  #open;
  #token;
  #channel;
  #locks;
  #name;
  #handlers = new Map();
  #waiting = new Map(); // this tab's sends, by client_id
  #hide = null; // what this tab's `show` asked for, until the tab with the socket says that it is so
  #seen = new Map(); // of each partition the highest offset that this tab was told
  #client = null; // only in the tab that has the socket
  #leader = null; // what the tab with the socket, the last that this tab heard of, calls itself
  #state = null;
  #user = null;
  #release = null;
  #started = false;
  #ended = false; // the connection has, for good, until a tab begins again
  #closed = false;

  constructor(url, token, { name, locks = globalThis.navigator?.locks, Channel = globalThis.BroadcastChannel, ...options }) {
    this.#token = token;
    this.#open = (state) => new ChatClient(url, this.#token, { ...options, state });
    this.#name = `chat:${name}`;
    this.#locks = locks;
    this.#channel = new Channel(this.#name);
    this.#channel.onmessage = ({ data }) => this.#hear(data);
  }

  // As of ChatClient. `connected` and so on tell of the one socket.
  on(kind, handler) {
    this.#handlers.set(kind, [...(this.#handlers.get(kind) ?? []), handler]);
  }

  // Take part; also begin again, after the connection has ended for good. After `close` make a new one.
  start() {
    if (this.#closed) return;
    if (this.#started) return this.#tell({ begins: true });
    this.#started = true;
    this.#channel.postMessage({ asks: "state", token: typeof this.#token === "function" ? undefined : this.#token });
    this.#locks.request(this.#name, async () => {
      if (this.#closed) return;
      const released = new Promise((release) => (this.#release = release));
      this.#lead();
      await released;
    });
  }

  // Leave; the other tabs go on.
  close() {
    if (this.#closed) return;
    this.#closed = true;
    const client = this.#client;
    this.#client = null;
    client?.close();
    this.#channel.close();
    this.#release?.();
    for (const { reject } of this.#waiting.values()) reject(new ChatClosed(null));
    this.#waiting.clear();
    this.#call({ type: "closed", code: null });
  }

  send(conversation_id, content, client_id = crypto.randomUUID()) {
    if (this.#closed) return Promise.reject(new ChatClosed(null));
    if (this.#waiting.has(client_id)) return this.#waiting.get(client_id).promise;
    const waiting = { args: [conversation_id, content, client_id] };
    waiting.promise = new Promise((resolve, reject) => Object.assign(waiting, { resolve, reject }));
    this.#waiting.set(client_id, waiting);
    this.#ask("send", ...waiting.args);
    return waiting.promise;
  }

  read(message_id) {
    this.#ask("read", message_id);
  }

  typing(conversation_id) {
    this.#ask("typing", conversation_id);
  }

  show(online) {
    this.#hide = !online;
    this.#ask("show", online);
  }

  // All tabs take note: each may be the next one with the socket.
  renew(token) {
    if (!this.#closed) this.#tell({ token });
  }

  #ask(call, ...args) {
    if (this.#client) this.#run(call, args);
    else if (!this.#closed) this.#channel.postMessage({ call, args, leader: this.#leader });
  }

  // Of the tab with the socket: do what was asked. That a message was taken is told by `ack`, in order with the rest.
  #run(call, args) {
    const client = this.#client;
    const done = client[call](...args);
    if (call === "show") this.#tell({ state: client.state }); // the next tab with the socket goes on with it
    if (call !== "send") return;
    done.catch((error) => {
      if (client !== this.#client) return; // this tab leaves, and the next one is asked again
      const outcome = error instanceof Refused ? { refused: error.frame } : { closed: error.code };
      this.#tell({ unsent: args[2], ...outcome });
    });
  }

  #lead() {
    const client = this.#open(this.#state);
    this.#client = client;
    this.#leader = crypto.randomUUID();
    for (const kind of KINDS.split(" ")) {
      client.on(kind, (frame) => {
        if (client !== this.#client) return;
        if (kind === "connected") this.#user = frame.user_id;
        const told = kind === "ack" ? { sender_id: this.#user, content_type: "text", ...frame } : frame;
        this.#tell({ frame: told, state: client.state });
      });
    }
    if (!this.#ended) client.start();
    this.#channel.postMessage({ leads: this.#leader });
    this.#askAgain();
  }

  // Perhaps nobody heard it, or the last tab has gone before it asked: the same client_id makes one message of it.
  #askAgain() {
    if (this.#hide !== null) this.#ask("show", !this.#hide);
    for (const { args } of this.#waiting.values()) this.#ask("send", ...args);
  }

  #tell(told) {
    this.#channel.postMessage(told);
    this.#take(told);
  }

  #hear(data) {
    if (data.call !== undefined) {
      if (this.#client) this.#asked(data);
    } else if (data.asks) {
      if (!this.#client) return;
      if (this.#ended) this.#tell({ begins: true, token: data.token }); // a new tab has begun
      this.#channel.postMessage({ leads: this.#leader, state: this.#client.state });
    } else {
      this.#take(data);
      if (data.leads !== undefined && data.leads !== this.#leader && !this.#client) {
        this.#leader = data.leads;
        this.#askAgain();
      }
    }
  }

  // A tab that does not know yet that this one leads sends all that it waits for again, in order, when it does.
  #asked({ call, args, leader }) {
    if (call === "send" && leader !== this.#leader) this.#channel.postMessage({ leads: this.#leader });
    else this.#run(call, args);
  }

  #take({ frame, state, token, begins, unsent, refused, closed }) {
    if (token !== undefined) {
      if (typeof this.#token !== "function") this.#token = token;
      this.#client?.renew(token);
    }
    if (begins) {
      this.#ended = false;
      this.#client?.start();
    }
    if (state) {
      this.#state = state;
      if (state.hidden === this.#hide) this.#hide = null;
    }
    if (frame) {
      this.#ended = frame.type === "closed";
      this.#deliver(frame);
    }
    if (this.#waiting.has(unsent)) {
      const { reject } = this.#waiting.get(unsent);
      this.#waiting.delete(unsent);
      reject(refused ? new Refused(refused) : new ChatClosed(closed));
    }
  }

  #deliver(frame) {
    if (frame.type === "resync") this.#seen.clear();
    const fresh = this.#isNew(frame.position);
    const waiting = ["ack", "message"].includes(frame.type) && this.#waiting.get(frame.client_id);
    if (waiting) {
      this.#waiting.delete(frame.client_id);
      const ack = { ...frame, type: "ack" };
      waiting.resolve(ack);
      this.#call(ack);
    } else if (fresh) {
      this.#call(frame.type === "ack" ? { ...frame, type: "message" } : frame);
    }
  }

  #isNew(position) {
    if (position === undefined) return true;
    const [number, offset] = position.split(":");
    if (Number(offset) <= (this.#seen.get(number) ?? -1)) return false;
    this.#seen.set(number, Number(offset));
    return true;
  }

  #call(frame) {
    for (const handler of this.#handlers.get(frame.type) ?? []) {
      try {
        handler(frame);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
