/* What the link asks the daemon for, with a socket that only listens. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Link } from "../../../http/dashboard/link.js";

const opened = [];
globalThis.WebSocket = class {
  static OPEN = 1;

  constructor(url, protocols) {
    Object.assign(this, { url, protocols });
    opened.push(this);
  }

  close() {}
};

test("the first socket asks for nothing from before, those behind it for what was missed", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  let last = 0;
  const link = new Link({ url: "ws://desk/", onPhase() {}, onFrame() {}, since: () => last });
  link.start();
  assert.equal(opened.at(-1).url, "ws://desk/");
  assert.equal(link.resumes, false);

  last = 184;
  opened.at(-1).onclose({ code: 1006, reason: "" });
  context.mock.timers.tick(1000);
  assert.equal(opened.length, 2);
  assert.equal(opened.at(-1).url, "ws://desk/?since=184");
  assert.equal(link.resumes, true);

  last = 0;
  opened.at(-1).onclose({ code: 1006, reason: "" });
  context.mock.timers.tick(2000);
  assert.equal(opened.at(-1).url, "ws://desk/");
  assert.equal(link.resumes, false);
  link.stop();
});

test("a link is lost when nothing comes for six seconds after a ping", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  const pass = (seconds) => {
    for (let i = 0; i < seconds; i += 1) context.mock.timers.tick(1000);
  };
  const phases = [];
  const link = new Link({ url: "ws://desk/", onPhase: (phase) => phases.push(phase), onFrame() {} });
  link.start();
  const socket = opened.at(-1);
  Object.assign(socket, { readyState: 1, send() {} });
  socket.onopen();
  pass(5);
  socket.onmessage({ data: "{\"type\": \"pong\"}" });
  pass(6);
  assert.deepEqual(phases, ["live"]);
  pass(4);
  assert.deepEqual(phases, ["live", "lost"]);
  link.stop();
});
