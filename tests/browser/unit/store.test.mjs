import assert from "node:assert/strict";
import { test } from "node:test";
import * as store from "../../../http/dashboard/store.js";
import { applyActors } from "../../../http/dashboard/system.js";

const T0 = Date.parse("2026-01-31T09:30:00.000Z");
const iso = (ms) => new Date(ms).toISOString();
const row = (id, more = {}) => ({ id, name: id, agent_group: "g", status: "active", last_beat: iso(T0), last_error: null, is_alive: true, liveness: "up", kind: "external", ...more });
const withAgents = (...rows) => {
  const state = store.createState();
  Object.assign(state.link, { phase: "live", lastFrameAt: T0 });
  store.applyAgents(state, { agents: rows }, T0);
  return state;
};

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
  assert.deepEqual(store.applyFailure(state, "agents", "503", T0 + 1), ["agents"]);
  store.applyFailure(state, "agents", "503", T0 + 9);
  assert.deepEqual(store.applyFailure(state, "ready", "503", T0), ["health"]);
  assert.equal(state.agents.size, 1);
  assert.deepEqual(state.sources.agents, { at: T0, error: "503", since: T0 + 1 });
});

test("greeting and health name the instance; the tree is kept", () => {
  const state = store.createState();
  store.applyFrame(state, { type: "connection", instance: "desk-a", env: "paper" }, T0);
  store.applyHealth(state, { version: "1" });
  assert.deepEqual([state.instance, state.env, state.version], ["desk-a", "paper", "1"]);
  applyActors(state, { tree: { name: "root" } }, T0);
  assert.equal(state.actors.name, "root");
  applyActors(state, {}, T0);
  assert.equal(state.actors, null);
  assert.deepEqual(store.applyFrame(state, { type: "pong" }, T0), []);
});

const stopFrame = (data, at = T0) => ({ type: data.enabled === false || data.released ? "killswitch_released" : "killswitch_activated", timestamp: iso(at), data });

test("an answer from before the newest stop does not undo it", () => {
  const state = store.createState();
  store.applyKillswitch(state, { status: "inactive", timestamp: iso(T0) }, T0);
  store.applyFrame(state, stopFrame({ trip_id: "t1", reason: "r" }, T0 + 100), T0 + 110);
  assert.deepEqual(store.applyKillswitch(state, { status: "inactive", timestamp: iso(T0 + 50) }, T0 + 120), []);
  assert.equal(state.killswitch.status, "active");
  store.applyKillswitch(state, { status: "inactive", timestamp: iso(T0 + 200) }, T0 + 210);
  assert.equal(state.killswitch.status, "inactive");
});

test("frames keep the list of stops in force", () => {
  const state = store.createState();
  store.applyFrame(state, stopFrame({ trip_id: "t1", scope: "group:signals", level: "halt" }), T0);
  store.applyFrame(state, stopFrame({ trip_id: "t2", scope: "all", level: "reduce" }), T0);
  store.applyFrame(state, stopFrame({ trip_id: "t2", scope: "all", level: "reduce" }), T0);
  assert.deepEqual(state.killswitch.trips.map((trip) => trip.trip_id), ["t1", "t2"]);
  store.applyFrame(state, stopFrame({ enabled: true, released: { trip_id: "t1" } }), T0);
  assert.deepEqual(state.killswitch.trips.map((trip) => trip.trip_id), ["t2"]);
  store.applyFrame(state, stopFrame({ enabled: true, released: { trip_id: "t2" }, trips: [{ trip_id: "t3" }] }), T0);
  assert.deepEqual(state.killswitch.trips, [{ trip_id: "t3" }]);
  store.applyFrame(state, stopFrame({ enabled: false }), T0);
  assert.deepEqual([state.killswitch.status, state.killswitch.trips], ["inactive", []]);
});

test("since when a check fails is kept while it does", () => {
  const state = store.createState();
  const ready = (ok, at) => store.applyReady(state, { checks: { redis: { ok } } }, at);
  ready(false, T0);
  ready(false, T0 + 9000);
  assert.deepEqual(state.failingSince, { redis: T0 });
  ready(true, T0 + 10_000);
  assert.deepEqual(state.failingSince, {});
});
