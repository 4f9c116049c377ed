// Two users of the JavaScript client; one loses the connection again and again. Run by test_javascript.py.
import { ChatClient, Refused } from "../../gateway/clients/chat-client.mjs";
import { SharedChatClient } from "../../gateway/clients/shared-chat-client.mjs";

const { url, tokens, conversation, stranger, count } = JSON.parse(process.argv[2]);
const sockets = [];
class Noted extends WebSocket {
  constructor(...args) {
    super(...args);
    sockets.push(this);
  }
}
// What browsers have and this Node lacks: one lock, held until it is released.
const queue = [];
let held = false;
const locks = {
  request(_, work) {
    queue.push(work);
    next();
  },
};
function next() {
  if (held || queue.length === 0) return;
  held = true;
  queue.shift()().then(() => {
    held = false;
    next();
  });
}
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
async function until(holds) {
  for (let tries = 0; !holds(); tries++) {
    if (tries > 400) throw new Error("it did not come");
    await pause(50);
  }
}

const alice = new ChatClient(url, async () => tokens[0], { WebSocket: Noted });
const received = [];
const first = new SharedChatClient(url, tokens[1], { name: "bob", locks });
const second = new SharedChatClient(url, tokens[1], { name: "bob", locks });
second.on("message", ({ seq }) => received.push(seq));
first.start();
second.start();
alice.start();
const failure = new Error("a handler that fails");
alice.on("message", () => {
  throw failure;
});
const uncaught = [];
process.on("uncaughtException", (error) => {
  if (error === failure) return uncaught.push(error.message);
  console.error(error);
  process.exit(1);
});
const acks = [];
for (let number = 1; number <= count; number++) {
  acks.push((await alice.send(conversation, `message ${number}`)).seq);
  if (number === count / 2) first.close(); // the other tab goes on
  if (number % 15 === 0) sockets.at(-1).close();
  await pause(10);
}
await until(() => received.length >= count);
const reply = await second.send(conversation, "got it");
await until(() => uncaught.length === 1);
let refused = null;
await alice.send(stranger, "hello?").catch((error) => (refused = error instanceof Refused ? error.code : String(error)));
const reconnects = sockets.length - 1;
alice.close();
second.close();
console.log(JSON.stringify({ acks, received, reply: reply.seq, refused, reconnects, uncaught }));
process.exit(0);
