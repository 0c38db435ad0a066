import assert from "node:assert/strict";
import { test } from "node:test";
import * as store from "../../../http/dashboard/store.js";
import { lastSaid, lastStop, PROOF_MS, trading, tradingState, tripsInForce } from "../../../http/dashboard/trading.js";
import { titleOf, worst } from "../../../http/dashboard/announcer.js";

const T0 = Date.parse("2026-01-31T21:08:27.000Z");
const iso = (ms) => new Date(ms).toISOString();
const after = (body, at = T0) => {
  const state = store.createState();
  Object.assign(state, { instance: "desk-a", env: "paper" });
  Object.assign(state.link, { phase: "live", since: T0 - 60_000, lastFrameAt: T0 });
  store.applyKillswitch(state, { ...body, timestamp: iso(at) }, at);
  return state;
};
const trip = (more) => ({ trip_id: "t", level: "halt", scope: "all", reason: "fat finger", triggered_by: "anna", at: iso(T0), ...more });
const stopped = (...trips) => after({ status: "active", enabled: true, trips });
const agent = (id, more = {}) => ({ id, name: id, agent_group: "g", status: "active", last_beat: iso(T0), is_alive: true, liveness: "up", ...more });

test("nothing is claimed before the daemon has answered", () => {
  const state = store.createState();
  assert.deepEqual([tradingState(state, T0), trading(state, T0).words], ["unknown", "Reading state"]);
  store.applyFailure(state, "killswitch", "No answer within 8 s.", T0);
  assert.equal(trading(state, T0).words, "State not readable");
  assert.equal(titleOf(state, T0), "State not readable · Orchestrator");
});

test("the words differ from the first letter on", () => {
  const words = [after({ status: "inactive" }), stopped(trip()), stopped(trip({ level: "reduce" })), after({ status: "unknown" })].map((state) => trading(state, T0).words);
  assert.deepEqual(words, ["Trading allowed", "Stopped: all agents", "Reduce only: all agents", "State unknown"]);
});

test("a stop that was released is on record", () => {
  assert.equal(lastStop({ released_at: null }, T0), "none on record");
  assert.equal(lastStop({ last_triggered: null, released_at: iso(T0) }, T0 + 26_000), "released 21:08:27 UTC (26 s ago)");
});

test("without the bus nobody is said to trade", () => {
  const state = after({ status: "inactive" });
  state.ready = { checks: { redis: { ok: true } } };
  assert.deepEqual([trading(state, T0).sign, trading(state, T0).detail], ["up", "no stop in force"]);
  state.ready.checks.redis.ok = false;
  assert.deepEqual([trading(state, T0).sign, trading(state, T0).detail], ["late", "no stop, but no bus: gates may be shut"]);
  assert.match(trading(state, T0).meaning, /agents with a gate that get no permit halt within 3\.5 s/);
});

test("a stop says for whom, by whom, when and why", () => {
  const now = trading(stopped(trip({ scope: "group:signals" })), T0);
  assert.deepEqual([now.kind, now.words, now.detail], ["partly", "Stopped: group signals", "anna · 21:08:27 UTC · fat finger"]);
  const several = stopped(trip({ scope: "agent:execution-with-a-long-name" }), trip({ scope: "group:b" }), trip({ scope: "all", level: "reduce" }));
  assert.equal(trading(several, T0).words, "Stopped: agent execution-w… and 1 more");
  assert.equal(trading(stopped(trip({ scope: "group:a" }), trip()), T0).kind, "stopped");
  assert.equal(trading(stopped(trip({ released_at: iso(T0) }), trip({ level: "reduce" })), T0).kind, "reduce");
});

test("a daemon that lists no stops has the one that it names", () => {
  const state = after({ status: "active", enabled: true, reason: "r", triggered_by: "bo", last_triggered: iso(T0) });
  assert.deepEqual([trading(state, T0).words, trading(state, T0).detail], ["Stopped: all agents", "bo · 21:08:27 UTC · r"]);
});

test("an answer proves for five seconds", () => {
  const state = after({ status: "inactive" });
  assert.equal(tradingState(state, T0 + PROOF_MS), "allowed");
  assert.equal(tradingState(state, T0 + PROOF_MS + 1), "unknown");
  const now = trading(state, T0 + 6000);
  assert.deepEqual([now.words, now.detail, now.sign, now.kind], ["Not known since 21:08:27", "was: allowed", "unknown", "allowed"]);
  assert.equal(titleOf(state, T0 + 6000), "Not known since 21:08:27, was allowed · desk-a");
});

test("with the link the proof is lost at once, and an answer by HTTP brings it back", () => {
  const state = after({ status: "inactive" });
  Object.assign(state.link, { phase: "lost", since: T0 + 100 });
  assert.equal(tradingState(state, T0 + 200), "unknown");
  assert.equal(lastSaid(state), "allowed");
  store.applyKillswitch(state, { status: "inactive", timestamp: iso(T0 + 300) }, T0 + 310);
  assert.equal(tradingState(state, T0 + 400), "allowed");
});

test("what agents do meanwhile is only said of a daemon that knows their gates", () => {
  const meaning = (body) => trading(after(body), T0 + 60_000).meaning;
  assert.match(meaning({ status: "inactive" }), /^Was: allowed\. What agents do meanwhile cannot be seen/);
  assert.match(meaning({ status: "inactive", agents: { without_gate: [] } }), /If the daemon is down, permits have run out, so agents with a gate are halted/);
  assert.match(meaning({ status: "inactive", agents: { without_gate: [] } }), /Agents without a gate may go on trading/);
  assert.match(meaning({ status: "inactive", agents: { without_gate: ["old-1"] } }), /perhaps trading: old-1/);
});

test("an unknown stop says why, and what agents make of it", () => {
  assert.match(trading(after({ status: "unknown", message: "Treat this as active: the latch cannot be read." }), T0).meaning, /agents treat this as stopped.*latch cannot be read/);
});

test("who and why are of a stop that the words name", () => {
  const detail = (...trips) => trading(stopped(...trips), T0).detail;
  const [some, limit] = [trip({ scope: "group:a", reason: "slow" }), trip({ level: "reduce", reason: "drill" })];
  assert.match(detail(some, limit), /slow$/);
  assert.match(detail(trip(), some, limit), /fat finger$/);
  assert.match(detail(limit), /drill$/);
});

test("others are not said to trade where another stop limits them", () => {
  const meaning = (...more) => trading(stopped(trip({ scope: "group:a" }), ...more), T0).meaning;
  assert.match(meaning(), /all others may trade/);
  assert.doesNotMatch(meaning(trip({ level: "reduce" })), /may trade/);
});

test("a state that the daemon does not know lists the stops that it does", () => {
  assert.deepEqual(tripsInForce({ status: "unknown", trips: [trip()] }), [trip()]);
  assert.deepEqual(tripsInForce({ status: "unknown", trips: [], trip_id: null }), []);
  assert.deepEqual(tripsInForce({ status: "inactive", trips: [trip()] }), []);
});

test("not every agent has halted: that is said until they have", () => {
  const meaning = (complete) => trading(after({ status: "active", complete, trips: [trip()] }), T0).meaning;
  assert.match(meaning(false), /Not every agent has halted yet/);
  assert.doesNotMatch(meaning(true), /Not every/);
  const early = after({ status: "active", complete: false, agents_known: false, trips: [trip()] });
  assert.match(trading(early, T0).meaning, /Not known yet who must halt/);
});

test("the title carries the worst: stop, link, bus, store, execution agent, others", () => {
  const state = after({ status: "inactive" });
  const kinds = [];
  const note = (at = T0) => kinds.unshift([worst(state, at).kind, titleOf(state, at)]);
  store.applyAgents(state, { agents: [agent("a"), agent("gone", { liveness: "stopped", status: "inactive" })] }, T0);
  note();
  store.applyAgents(state, { agents: [agent("a", { liveness: "down" }), agent("b", { liveness: "late" })] }, T0);
  note();
  store.applyAgents(state, { agents: [agent("a", { liveness: "down" }), agent("x-1", { liveness: "late", agent_group: "execution" })] }, T0);
  note();
  store.applyReady(state, { checks: { redis: { ok: true }, postgres: { ok: false } } }, T0);
  note();
  store.applyReady(state, { checks: { redis: { ok: false }, postgres: { ok: false } } }, T0);
  note();
  note(T0 + 9000);
  store.applyKillswitch(state, { status: "active", trips: [trip()], timestamp: iso(T0 + 1) }, T0 + 1);
  note();
  note(T0 + 9000);
  assert.deepEqual(kinds, [
    ["stop", "Was STOPPED, not known since 21:08:27 · desk-a"], ["stop", "STOPPED · desk-a"],
    ["link", "Not known since 21:08:27, was allowed · desk-a"], ["bus", "Bus down · desk-a"], ["store", "Store down · desk-a"],
    ["execution", "x-1 late · desk-a"], ["agents", "1 down, 1 late · desk-a"], ["ok", "desk-a"],
  ]);
  state.env = "live";
  assert.match(titleOf(state, T0), /STOPPED · desk-a LIVE/);
  state.access.role = "asked";
  assert.equal(titleOf(state, T0), "Sign in · desk-a LIVE");
});
