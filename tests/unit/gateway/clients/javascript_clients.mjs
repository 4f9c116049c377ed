// Tests of the JavaScript clients, for Node's own runner. Run by test_javascript_clients.py.
import assert from "node:assert/strict";
import test from "node:test";
import { ChatClient, ChatClosed, Refused } from "../../../../gateway/clients/chat-client.mjs";
import { SharedChatClient } from "../../../../gateway/clients/shared-chat-client.mjs";

Math.random = () => 0; // they come back at once
const timeout = 10_000;

// The service's end of the sockets that a client opens.
class Service {
  #links = [];
  #waiting = [];

  constructor() {
    const service = this;
    this.WebSocket = class {
      readyState = 0;
      sent = [];

      constructor(url) {
        this.query = new URL(url).searchParams;
        service.#links.push(this);
        service.#waiting.shift()?.();
      }

      send(text) {
        this.sent.push(JSON.parse(text));
      }

      close() {
        this.readyState = 3;
      }

      tell(...frames) {
        this.onmessage({ data: JSON.stringify(frames) });
      }

      connected() {
        this.readyState = 1;
        const server_time = new Date().toISOString();
        this.tell({ type: "connected", user_id: 1, cursor: "c", heartbeat_seconds: 20, server_time, resumed: false });
      }

      lose(code) {
        this.readyState = 3;
        this.onclose({ code });
      }
    };
  }

  get left() {
    return this.#links.length;
  }

  // Wait for the next connection.
  async link() {
    if (this.#links.length === 0) await new Promise((done) => this.#waiting.push(done));
    return this.#links.shift();
  }
}

const pause = (milliseconds = 10) => new Promise((done) => setTimeout(done, milliseconds));

function open(t, service, token = "a token") {
  const chat = new ChatClient("ws://chat", token, { WebSocket: service.WebSocket });
  t.after(() => chat.close());
  chat.start();
  return chat;
}

// What browsers have: a lock that is held until it is released, and a channel. A tab that is `deaf` hears later.
class Browser {
  #queue = [];
  #held = false;
  #channels = new Set();

  constructor(service) {
    const browser = this;
    this.service = service;
    this.locks = {
      request(_, work) {
        browser.#queue.push(work);
        queueMicrotask(() => browser.#next());
      },
    };
    this.Channel = class {
      #unheard = [];
      #deaf = false;

      constructor() {
        browser.#channels.add(this);
        browser.last = this;
      }

      postMessage(data) {
        if (!browser.#channels.has(this)) throw new Error("it is closed");
        for (const other of browser.#channels) if (other !== this) other.#hear(structuredClone(data));
      }

      close() {
        browser.#channels.delete(this);
      }

      set deaf(deaf) {
        this.#deaf = deaf;
        this.#deliver();
      }

      #hear(data) {
        this.#unheard.push(data);
        queueMicrotask(() => this.#deliver());
      }

      #deliver() {
        while (!this.#deaf && browser.#channels.has(this) && this.#unheard.length > 0) {
          this.onmessage({ data: this.#unheard.shift() });
        }
      }
    };
  }

  #next() {
    if (this.#held || this.#queue.length === 0) return;
    this.#held = true;
    this.#queue.shift()().then(() => {
      this.#held = false;
      this.#next();
    });
  }

  // A tab; `channel` is how it hears the others.
  tab(t, token = "a token") {
    const { locks, Channel } = this;
    const { WebSocket } = this.service;
    const chat = new SharedChatClient("ws://chat", token, { name: "ada", locks, Channel, WebSocket });
    t.after(() => chat.close());
    chat.start();
    return Object.assign(chat, { channel: this.last });
  }
}

test("a message that no frame is long enough for is refused, and the others go on", { timeout }, async (t) => {
  const service = new Service();
  const chat = open(t, service);
  const link = await service.link();
  link.connected();
  const around = JSON.stringify({ type: "message", conversation_id: 7, content: "", client_id: "c" });
  const longest = "é".repeat((65_536 - around.length) / 2);
  const refused = await chat.send(7, `${longest}é`, "c").catch((error) => error);
  assert.ok(refused instanceof Refused);
  assert.equal(refused.code, "PAYLOAD_TOO_LARGE");
  const sent = chat.send(7, longest, "c");
  assert.equal(link.sent.length, 1);
  link.tell({ type: "ack", client_id: "c", message_id: 1 });
  assert.equal((await sent).content, longest);
});

test("a text that was renewed holds for later connections too", { timeout }, async (t) => {
  const service = new Service();
  const chat = open(t, service);
  const link = await service.link();
  link.connected();
  chat.renew("a fresh token");
  assert.deepEqual(link.sent, [{ type: "auth", token: "a fresh token" }]);
  link.lose(1001);
  assert.equal((await service.link()).query.get("token"), "a fresh token");
});

test("a text that one tab renews holds for whichever has the socket", { timeout }, async (t) => {
  const service = new Service();
  const browser = new Browser(service);
  const [first, second] = [browser.tab(t), browser.tab(t)];
  const link = await service.link();
  link.connected();
  second.renew("a fresh token");
  await pause();
  assert.deepEqual(link.sent, [{ type: "auth", token: "a fresh token" }]);
  first.renew("a fresher token");
  await pause();
  assert.deepEqual(link.sent.slice(1), [{ type: "auth", token: "a fresher token" }]);
  first.close();
  assert.equal((await service.link()).query.get("token"), "a fresher token");
});

test("a function that has no token is asked again", { timeout }, async (t) => {
  const service = new Service();
  const given = [undefined, null, "a token"];
  open(t, service, () => given.shift());
  assert.equal((await service.link()).query.get("token"), "a token");
});

for (const code of [1001, 4401]) {
  test(`who closes and begins again when he hears of ${code} has one socket`, { timeout }, async (t) => {
    const service = new Service();
    const chat = open(t, service);
    const told = [];
    chat.on("disconnected", () => {
      chat.close();
      chat.start();
    });
    chat.on("message", (message) => told.push(message.message_id));
    const link = await service.link();
    link.connected();
    link.lose(code);
    const again = await service.link();
    again.connected();
    await pause();
    assert.equal(service.left, 0);
    again.tell({ type: "message", message_id: 1 });
    assert.deepEqual(told, [1]);
  });
}

test("when a handler has closed it is told nothing more", { timeout }, async (t) => {
  const service = new Service();
  const chat = open(t, service);
  const told = [];
  chat.on("message", (message) => {
    told.push(message.message_id);
    chat.close();
  });
  const link = await service.link();
  link.connected();
  link.tell({ type: "message", message_id: 1, position: "0:1" }, { type: "message", message_id: 2, position: "0:2" });
  assert.deepEqual(told, [1]);
  assert.deepEqual(chat.state.positions, { 0: 1 });
});

test("a handler of the close may close", { timeout }, async (t) => {
  const service = new Service();
  for (const chat of [open(t, service), new Browser(service).tab(t)]) {
    let closed = 0;
    chat.on("closed", () => {
      closed++;
      chat.close();
    });
    chat.close();
    assert.equal(closed, 1);
  }
});

test("who hides while no tab has the socket is hidden", { timeout }, async (t) => {
  const service = new Service();
  const browser = new Browser(service);
  const first = browser.tab(t);
  first.show(false);
  const link = await service.link();
  link.connected();
  assert.deepEqual(link.sent, [{ type: "offline" }]);
  const [, third] = [browser.tab(t), browser.tab(t)];
  first.show(true);
  await pause();
  first.close();
  third.show(false);
  const next = await service.link();
  await pause();
  next.connected();
  assert.deepEqual(next.sent, [{ type: "offline" }]);
  third.close();
  const fourth = browser.tab(t);
  fourth.show(true);
  await pause();
  assert.deepEqual(next.sent.at(-1), { type: "online" });
});

test("what is sent twice under one client_id is one message for both", { timeout }, async (t) => {
  const service = new Service();
  const chat = new Browser(service).tab(t);
  const link = await service.link();
  link.connected();
  const sending = [chat.send(7, "hello", "c"), chat.send(7, "hello", "c")];
  assert.equal(link.sent.length, 1);
  link.tell({ type: "ack", client_id: "c", message_id: 1 });
  for (const sent of sending) assert.equal((await sent).message_id, 1);
});

test("what is done to the clock changes no pause", { timeout }, async (t) => {
  const service = new Service();
  const timers = [];
  const now = Date.now;
  let ahead = 0;
  t.mock.method(Date, "now", () => now() + ahead);
  t.mock.method(Math, "random", () => 1);
  open(t, service, () => `.${btoa(JSON.stringify({ exp: now() / 1_000 + 1_000 }))}.`);
  const link = await service.link();
  t.mock.method(globalThis, "setTimeout", (work, milliseconds) => {
    timers.push({ work, seconds: Math.round(milliseconds / 1_000) });
  });
  link.connected();
  assert.equal(timers.at(-1).seconds, 800, "of the 1000 that a token is good for");
  ahead += 3_600_000;
  await timers.at(-1).work();
  assert.equal(timers.at(-1).seconds, 800);
  link.lose(1001);
  timers.at(-1).work();
  const again = await service.link();
  again.connected();
  ahead += 3_600_000;
  again.lose(1001);
  assert.equal(timers.at(-1).seconds, 2, "since the connection did not hold");
});

test("what has ended for good begins again when a tab says so, not when one closes", { timeout }, async (t) => {
  const service = new Service();
  const browser = new Browser(service);
  const tabs = [browser.tab(t), browser.tab(t), browser.tab(t)];
  let closed = 0;
  for (const tab of tabs) tab.on("closed", ({ code }) => (closed += code === 4401));
  const link = await service.link();
  link.connected();
  link.lose(4401);
  await pause();
  assert.equal(closed, 3);
  tabs[0].close();
  await pause();
  assert.equal(service.left, 0);
  await assert.rejects(tabs[2].send(7, "hello"), ChatClosed);
  tabs[2].start();
  const again = await service.link();
  again.connected();
  await pause();
  tabs[1].close();
  (await service.link()).connected();
});

test("what has ended for good begins again in a new tab, with its token", { timeout }, async (t) => {
  const service = new Service();
  const browser = new Browser(service);
  const tab = browser.tab(t);
  let connected = 0;
  tab.on("connected", () => (connected += 1));
  const link = await service.link();
  link.connected();
  link.lose(4401);
  await pause();
  const { WebSocket } = service;
  const fresh = new SharedChatClient("ws://chat", "a fresh token", { ...browser, WebSocket, name: "ada" });
  t.after(() => fresh.close());
  fresh.start();
  const again = await service.link();
  assert.equal(again.query.get("token"), "a fresh token");
  again.connected();
  await pause();
  assert.equal(connected, 2);
});

test("a tab that has closed begins nothing", { timeout }, async (t) => {
  const service = new Service();
  const browser = new Browser(service);
  const [, second] = [browser.tab(t), browser.tab(t)];
  const link = await service.link();
  second.close();
  second.start();
  link.lose(4401);
  await pause();
  const third = new SharedChatClient("ws://chat", "a token", { ...browser, name: "ada" });
  third.close();
  third.start();
  await pause();
  assert.equal(service.left, 0);
});

test("what a tab sends to a leader that it does not know yet overtakes nothing", { timeout }, async (t) => {
  const service = new Service();
  const browser = new Browser(service);
  const [first, , third] = [browser.tab(t), browser.tab(t), browser.tab(t)];
  (await service.link()).connected();
  const sending = [third.send(7, "one"), third.send(7, "two")];
  await pause();
  third.channel.deaf = true;
  first.close();
  const link = await service.link();
  link.connected();
  sending.push(third.send(7, "three"));
  await pause();
  third.channel.deaf = false;
  await pause();
  assert.deepEqual(
    link.sent.map((frame) => frame.content),
    ["one", "two", "three"],
  );
  for (const { client_id } of link.sent) link.tell({ type: "ack", client_id });
  await Promise.all(sending);
});

test("a tab that is new, or hears late of who had the socket before, sends all the same", { timeout }, async (t) => {
  const service = new Service();
  const browser = new Browser(service);
  const first = browser.tab(t);
  const link = await service.link();
  link.connected();
  const second = browser.tab(t);
  const sending = [second.send(7, "one")];
  await pause();
  for (const { channel } of [first, second]) channel.onmessage({ data: { leads: "who is gone" } });
  sending.push(second.send(7, "two"));
  await pause();
  assert.deepEqual(
    link.sent.map((frame) => frame.content),
    ["one", "two"],
  );
  for (const { client_id } of link.sent) link.tell({ type: "ack", client_id });
  await Promise.all(sending);
});

test("a tab that has heard nothing takes from no other where it was", { timeout }, async (t) => {
  const service = new Service();
  const browser = new Browser(service);
  const [first, second] = [browser.tab(t), browser.tab(t)];
  second.channel.deaf = true;
  browser.tab(t);
  (await service.link()).connected();
  await pause();
  first.close();
  assert.equal((await service.link()).query.get("cursor"), null);
  await pause();
  second.close();
  assert.equal((await service.link()).query.get("cursor"), "c");
});
