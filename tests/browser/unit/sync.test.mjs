/* How often the page asks the daemon, with answers of our own and a clock that only we move. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { EventLog } from "../../../http/dashboard/event_log.js";
import { History } from "../../../http/dashboard/history.js";
import { createState } from "../../../http/dashboard/store.js";
import { Sync } from "../../../http/dashboard/sync.js";

const NAMES = ["ready", "killswitch", "agents", "actors", "regime", "histogram"];

const COUNTED = { from: new Date(0).toISOString(), to: new Date(900_000).toISOString(), bucket_s: 60, buckets: [] };

/** A page whose link is live; `asked` counts its calls, `fail` names those that fail (with what). */
function page(context, { hidden = false } = {}) {
  context.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  globalThis.document = { hidden };
  context.after(() => delete globalThis.document);
  const asked = Object.fromEntries(NAMES.map((name) => [name, 0]));
  const fail = {};
  const answer = (name) => async () => {
    asked[name] += 1;
    if (fail[name]) throw fail[name];
    return name === "histogram" ? { ...COUNTED, timestamp: COUNTED.to } : {};
  };
  const api = Object.fromEntries(NAMES.map((name) => [name, answer(name)]));
  const state = createState();
  state.link.phase = "live";
  const parts = { state, log: new EventLog(), api, now: Date.now, changed() {} };
  const sync = new Sync({ ...parts, history: new History(parts) });
  const pass = async (ms) => {
    for (let at = 0; at < ms; at += 1000) {
      context.mock.timers.tick(1000);
      sync.tick();
      for (let i = 0; i < 5; i += 1) await null; // what was answered is taken in
    }
  };
  return { asked, fail, state, sync, pass };
}

test("the stop is proven every two seconds, the rest is left to the socket", async (context) => {
  const { asked, pass } = page(context);
  await pass(60_000);
  assert.deepEqual(asked, { ready: 6, killswitch: 30, agents: 1, actors: 3, regime: 1, histogram: 1 });
});

test("a page in the background asks less, but not about the stop", async (context) => {
  const { asked, pass } = page(context, { hidden: true });
  await pass(60_000);
  assert.deepEqual(asked, { ready: 2, killswitch: 30, agents: 1, actors: 1, regime: 1, histogram: 1 });
});

test("what failed is asked again soon, or when the daemon says", async (context) => {
  const { asked, fail, state, pass } = page(context);
  fail.agents = Object.assign(new Error("Busy"), { retryAfterMs: 0 });
  fail.regime = Object.assign(new Error("Wait"), { retryAfterMs: 20_000 });
  await pass(19_000);
  assert.deepEqual([asked.agents, asked.regime], [4, 1]);
  assert.equal(state.sources.agents.error, "Busy");
  delete fail.agents;
  await pass(10_000);
  assert.deepEqual([asked.agents, asked.regime, state.sources.agents.error], [5, 2, null]);
});

test("before a token is given nothing is asked", async (context) => {
  const { asked, state, pass } = page(context);
  state.access.role = "asked";
  await pass(30_000);
  assert.deepEqual(Object.values(asked), [0, 0, 0, 0, 0, 0]);
});
