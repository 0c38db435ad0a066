import assert from "node:assert/strict";
import { test } from "node:test";
import * as store from "../../../http/dashboard/store.js";

const T0 = Date.parse("2026-01-31T09:30:00.000Z");
const iso = (ms) => new Date(ms).toISOString();
const row = (id, more = {}) => ({ id, name: id, agent_group: "g", status: "active", last_beat: iso(T0), last_error: null, is_alive: true, liveness: "up", kind: "external", ...more });
const withAgents = (...rows) => {
  const state = store.createState();
  Object.assign(state.link, { phase: "live", lastFrameAt: T0 });
  store.applyAgents(state, { agents: rows }, T0);
  return state;
};
const beat = (id, at, data = {}) => ({ type: "redis_event", eventType: "heartbeat", channel: `heartbeat.${id}`, source: id, id: at, timestamp: iso(at), data: { agent_id: id, status: "running", ...data } });
const heard = (state, at) => Object.assign(state.link, { lastFrameAt: at });

test("counts follow liveness", () => {
  const state = withAgents(row("a"), row("b", { liveness: "late" }), row("c", { liveness: "down", status: "inactive", is_alive: false }), row("d", { status: "error" }), row("e", { liveness: "unknown" }));
  assert.deepEqual(store.agentCounts(state, T0), { up: 1, late: 1, down: 2, unknown: 1, total: 5 });
});

test("trouble comes first", () => {
  const state = withAgents(row("a"), row("b", { liveness: "late" }), row("c", { liveness: "down", status: "inactive" }));
  assert.deepEqual(store.rankedAgents(state, T0).map((r) => r.agent.id), ["c", "b", "a"]);
});

test("an agent that misses three beats is late before the daemon says so", () => {
  const state = withAgents(row("a"));
  heard(state, T0 + 14000);
  assert.equal(store.agentCounts(state, T0 + 14000).late, 0);
  heard(state, T0 + 16000);
  assert.equal(store.agentCounts(state, T0 + 16000).late, 1);
});

test("nobody is late because the page itself hears nothing", () => {
  const state = withAgents(row("a"));
  assert.equal(store.agentCounts(state, T0 + 60000).late, 0);
  state.link.phase = "lost";
  assert.equal(store.agentCounts(state, T0 + 60000).up, 1);
});

test("a beat makes an agent up, and keeps its strip bounded", () => {
  const state = withAgents(row("a", { liveness: "late" }));
  for (let i = 1; i <= 40; i += 1) assert.deepEqual(store.applyFrame(state, beat("a", T0 + i * 5000, { interval_s: 2, version: "2" }), T0), ["agents"]);
  const agent = state.agents.get("a");
  assert.equal(agent.liveness, "up");
  assert.equal(agent.beats.length, store.BEATS_KEPT);
  assert.equal(agent.intervalMs, 2000);
  assert.equal(agent.version, "2");
});

test("a beat may say that its agent goes, fails or has halted", () => {
  const state = withAgents(row("a"));
  const said = (status) => {
    store.applyFrame(state, beat("a", T0, { status }), T0);
    return store.agentCondition(state.agents.get("a"), T0);
  };
  assert.deepEqual(["offline", "failed", "halted", "whatever"].map(said), ["down", "error", "halted", "up"]);
});

test("a beat of an agent that is not in the registry changes nothing", () => {
  assert.deepEqual(store.applyFrame(withAgents(), beat("x", T0), T0), []);
});

test("beats from history fill the strip in order, none twice", () => {
  const state = withAgents(row("a"));
  const rows = [3, 1, 2, 2].map((n) => ({ id: n, ts: iso(T0 + n * 5000), source: "a", payload: {} }));
  store.applyBeatHistory(state, rows);
  assert.deepEqual(state.agents.get("a").beats, [1, 2, 3].map((n) => T0 + n * 5000));
});

test("a changed row keeps the beats", () => {
  const state = withAgents(row("a"));
  store.applyFrame(state, beat("a", T0), T0);
  store.applyFrame(state, { type: "agent_status", data: row("a", { status: "error", last_error: "x" }) }, T0);
  assert.equal(state.agents.get("a").beats.length, 1);
  assert.equal(store.agentCondition(state.agents.get("a"), T0), "error");
  assert.deepEqual(store.applyFrame(state, { type: "agent_status", data: null }, T0), []);
});

test("unknown is not allowed", () => {
  const state = store.createState();
  assert.equal(store.tradingState(state), "unknown");
  store.applyKillswitch(state, { status: "unknown", enabled: true }, T0);
  assert.equal(store.tradingState(state), "unknown");
  store.applyKillswitch(state, { status: "inactive", enabled: false }, T0);
  assert.equal(store.tradingState(state), "allowed");
});

test("a stop and its release show at once", () => {
  const state = store.createState();
  store.applyFrame(state, { type: "killswitch_activated", timestamp: iso(T0), data: { reason: "r", triggered_by: "anna", trip_id: "t1" } }, T0);
  assert.equal(store.tradingState(state), "stopped");
  assert.equal(state.killswitch.trip_id, "t1");
  store.applyFrame(state, { type: "killswitch_released", timestamp: iso(T0), data: { enabled: true } }, T0);
  assert.equal(store.tradingState(state), "stopped");
  store.applyFrame(state, { type: "killswitch_released", timestamp: iso(T0), data: { enabled: false } }, T0);
  assert.equal(store.tradingState(state), "allowed");
});

test("reduce only is told from a halt", () => {
  const state = store.createState();
  store.applyKillswitch(state, { status: "active", trips: [{ level: "reduce" }] }, T0);
  assert.equal(store.tradingState(state), "reduce");
  store.applyKillswitch(state, { status: "active", trips: [{ level: "reduce" }, { level: "halt" }] }, T0);
  assert.equal(store.tradingState(state), "stopped");
});

test("the regime comes by snapshot and by event, with a bounded ribbon", () => {
  const state = store.createState();
  store.applyRegime(state, { status: "no_data" }, T0);
  assert.equal(state.regime, null);
  for (let id = 1; id <= store.REGIMES_KEPT + 20; id += 1) {
    store.applyFrame(state, { type: "redis_event", eventType: "quant.regime.state", id, timestamp: iso(T0), source: "r", data: { regime: "stable", trend: "bullish", confidence: 0.5 } }, T0);
  }
  assert.equal(state.regime.regime, "stable");
  assert.equal(state.regimeHistory.length, store.REGIMES_KEPT);
  assert.deepEqual(store.applyFrame(state, { type: "redis_event", eventType: "quant.regime.state", id: 1, data: "odd" }, T0), []);
});

test("a failed reading keeps what was known", () => {
  const state = withAgents(row("a"));
  assert.deepEqual(store.applyFailure(state, "agents", "503"), ["agents"]);
  assert.deepEqual(store.applyFailure(state, "ready", "503"), ["health"]);
  assert.equal(state.agents.size, 1);
  assert.deepEqual(state.sources.agents, { at: T0, error: "503" });
});

test("the worst state wins", () => {
  const state = withAgents(row("a"));
  assert.equal(store.worstState(state, T0), "ok");
  store.applyKillswitch(state, { status: "inactive" }, T0);
  store.applyReady(state, { checks: { redis: { ok: true }, postgres: { ok: false } } }, T0);
  assert.equal(store.worstState(state, T0), "trouble");
  store.applyKillswitch(state, { status: "active" }, T0);
  assert.equal(store.worstState(state, T0), "stopped");
  state.link.phase = "lost";
  assert.equal(store.worstState(state, T0), "blind");
});

test("greeting and health name the instance; the tree is kept", () => {
  const state = store.createState();
  store.applyFrame(state, { type: "connection", instance: "desk-a", env: "paper" }, T0);
  store.applyHealth(state, { version: "1" });
  assert.deepEqual([state.instance, state.env, state.version], ["desk-a", "paper", "1"]);
  store.applyActors(state, { tree: { name: "root" } }, T0);
  assert.equal(state.actors.name, "root");
  store.applyActors(state, {}, T0);
  assert.equal(state.actors, null);
  assert.deepEqual(store.applyFrame(state, { type: "pong" }, T0), []);
});
