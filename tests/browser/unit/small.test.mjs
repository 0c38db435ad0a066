/* The small pure parts: call budget, clock, retries, previews, release proof, tree. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Budget } from "../../../http/dashboard/api.js";
import { linkState, linkWords } from "../../../http/dashboard/announcer.js";
import { retryDelay, ServerClock } from "../../../http/dashboard/link.js";
import { namesTrip } from "../../../http/dashboard/panels/release_dialog.js";
import { flatten } from "../../../http/dashboard/system.js";
import { preview, severity } from "../../../http/dashboard/event.js";

test("the budget holds in any window", () => {
  const budget = new Budget(3, 60000);
  assert.deepEqual([0, 1, 2, 3].map((t) => budget.take(t)), [true, true, true, false]);
  assert.equal(budget.left(59999), 0);
  assert.ok(budget.take(60001));
  assert.equal(budget.left(60001), 1);
});

test("after a 429 nothing is sent until the time given", () => {
  const budget = new Budget(3, 60000);
  budget.block(5000);
  assert.equal(budget.take(4999), false);
  assert.equal(budget.left(4999), 0);
  assert.ok(budget.take(5000));
});

test("what a person orders is sent whatever the page has spent, and counts", () => {
  const budget = new Budget(1, 60000);
  budget.block(5000);
  assert.ok(budget.take(0, true));
  assert.ok(budget.take(5000, true));
  assert.equal(budget.take(5001), false);
});

test("after an order three reads of what came of it are in the budget", () => {
  const budget = new Budget(10, 60000);
  for (let t = 0; t < 10; t++) assert.ok(budget.take(t));
  assert.ok(budget.take(10, true));
  assert.deepEqual([11, 12, 13, 14].map((t) => budget.take(t)), [true, true, true, false]);
});

test("the clock trusts the shortest trip", () => {
  const clock = new ServerClock();
  clock.sample(10_000, 1000);
  assert.equal(clock.at(0), 9000);
  clock.sample(10_055, 1060, 1040);
  clock.sample(20_000, 2400, 2000);
  assert.equal(clock.offsetMs, 9005);
  clock.sample(NaN, 1, 1);
  assert.equal(clock.offsetMs, 9005);
});

test("retries double up to a limit, spread by chance", () => {
  assert.equal(retryDelay(0, 0), 250);
  assert.equal(retryDelay(3, 1), 4000);
  assert.equal(retryDelay(50, 1), 20000);
  assert.ok(retryDelay(50, 0) >= 10000);
});

test("the link's state says whether polling still brings answers", () => {
  const link = { phase: "lost", since: 1000, polledAt: 9000, retryAt: 12000 };
  assert.equal(linkState(link, 10000), "polling");
  assert.equal(linkState(link, 60000), "lost");
  assert.equal(linkState({ ...link, polledAt: 500 }, 2000), "lost");
  assert.equal(linkState({ ...link, phase: "live", lastFrameAt: 1500 }, 2000), "live");
  assert.equal(linkState({ ...link, phase: "live", lastFrameAt: 1500 }, 10_000), "polling", "a socket that is silent proves nothing");
  assert.equal(linkState({ ...link, phase: "live", lastFrameAt: 1500, polledAt: 1400 }, 10_000), "lost");
  assert.match(linkWords({ ...link, phase: "live", lastFrameAt: 1500 }, "polling", 10_000, "h"), /lost since 00:00:01/);
  assert.match(linkWords(link, "polling", 10000, "h"), /HTTP/);
  assert.match(linkWords(link, "lost", 10000, "h:1"), /next try in 2 s.*h:1/);
  assert.match(linkWords(link, "lost", 20000, "h:1"), /trying now/);
  assert.equal(linkWords(link, "live", 10000, "h"), "");
});

test("a trip is named whole or by its last six characters", () => {
  assert.ok(namesTrip("0193-abc-4f9a21", "0193-abc-4F9A21"));
  assert.ok(namesTrip(" 4f9a21 ", "0193-abc-4f9a21"));
  assert.ok(!namesTrip("9a21", "0193-abc-4f9a21"));
  assert.ok(!namesTrip("", ""));
  assert.ok(!namesTrip("0193", "0193-abc-4f9a21"));
  assert.ok(namesTrip("t1", "t1"));
});

test("the tree becomes rows with their depth, bounded", () => {
  const rows = flatten({ name: "root", children: [{ name: "a", children: [{ name: "b" }] }, { name: "c" }, null] });
  assert.deepEqual(rows.map((r) => [r.node.name, r.depth]), [["root", 0], ["a", 1], ["b", 2], ["c", 1]]);
  assert.equal(flatten({ name: "r", children: Array.from({ length: 1000 }, (_, i) => ({ name: `${i}` })) }, 50).length, 50);
  assert.deepEqual(flatten(null), []);
});

test("each kind of event has its line", () => {
  assert.equal(preview("data.market.AAPL.1m", { symbol: "AAPL", price: 150, bid: 149.98, ask: 150.02, volume: 1200, timeframe: "1m" }), "AAPL   150.00  bid 149.98  ask 150.02  vol 1\u2009200  1m");
  assert.equal(preview("strategy.candidate", { symbol: "AAPL", strategy: "momentum", action: "buy", score: 0.91 }), "AAPL  momentum  buy  score 0.91");
  assert.equal(preview("quant.regime.state", { regime: "volatile", trend: "bearish", confidence: 0.82 }), "volatile / bearish  confidence 0.82");
  assert.equal(preview("risk.killswitch", { enabled: true, reason: "fat finger", triggered_by: "anna" }), "STOP  fat finger  by anna");
  assert.match(preview("risk.killswitch", { enabled: false }), /RELEASED/);
  assert.match(preview("bus.gap", { count: 41, source: "q", from: "a", to: "b", cause: "subscription" }), /41 messages missing/);
  assert.match(preview("bus.gap", { count: null }), /unknown number/);
  assert.match(preview("runtime.actor_restarted", { actor: "RedisListener", restarts: 2 }), /RedisListener {2}restart 2/);
  assert.match(preview("agent.error", { id: "a", last_error: "boom" }), /error: boom/);
});

test("payloads of any shape have a line, in bounds and on one line", () => {
  for (const odd of [null, 3, "text", [], [1, [2]], {}, { a: { b: 1 } }, { __proto__: null, x: 1 }, true]) {
    for (const type of ["data.market.X.1m", "strategy.candidate", "heartbeat", "bus.gap", "constructor", "agent.online"]) assert.equal(typeof preview(type, odd), "string");
  }
  const long = preview("x", { a: "y\n".repeat(1000), b: "z".repeat(1000) });
  assert.ok(long.length <= 240);
  assert.ok(!/[\r\n]/.test(long));
});

test("severity follows the topic", () => {
  assert.deepEqual([["risk.killswitch", {}], ["risk.killswitch", { enabled: false }], ["agent.error"], ["agent.offline"], ["bus.gap"], ["runtime.actor_restarted"], ["risk.limit"], ["strategy.x"]].map(([t, p]) => severity(t, p)),
    ["critical", "warning", "critical", "warning", "warning", "warning", "warning", "info"]);
});
