// Tests of the JavaScript clients, for Node's own runner. Run by test_javascript_clients.py.
import assert from "node:assert/strict";
import test from "node:test";
import { ChatClient, Refused } from "../../../../gateway/clients/chat-client.mjs";

Math.random = () => 0; // they come back at once
const timeout = 10_000;

// The service's end of the sockets that a client opens.
class Service {
  #links = [];
  #waiting = [];

  constructor() {
    const service = this;
    this.WebSocket = class {
      readyState = 1;
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
        const server_time = new Date(Date.now()).toISOString();
        this.tell({ type: "connected", user_id: 1, cursor: "c", heartbeat_seconds: 20, server_time, resumed: false });
      }

      lose(code) {
        this.readyState = 3;
        this.onclose({ code });
      }
    };
  }

  // Wait for the next connection.
  async link() {
    if (this.#links.length === 0) await new Promise((done) => this.#waiting.push(done));
    return this.#links.shift();
  }
}

function open(t, service, token = "a token") {
  const chat = new ChatClient("ws://chat", token, { WebSocket: service.WebSocket });
  t.after(() => chat.close());
  chat.start();
  return chat;
}

test("a message that no frame is long enough for is refused, and the others go on", { timeout }, async (t) => {
  const service = new Service();
  const chat = open(t, service);
  const link = await service.link();
  link.connected();
  const around = JSON.stringify({ type: "message", conversation_id: 7, content: "", client_id: "c" });
  const longest = "é".repeat((65_536 - around.length) / 2);
  await assert.rejects(chat.send(7, `${longest}é`, "c"), (error) => error instanceof Refused && error.code === "PAYLOAD_TOO_LARGE");
  const sent = chat.send(7, longest, "c");
  assert.equal(link.sent.length, 1);
  link.tell({ type: "ack", client_id: "c", message_id: 1 });
  assert.equal((await sent).content, longest);
});
