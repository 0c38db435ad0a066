import assert from "node:assert/strict";
import { test } from "node:test";
import * as agentState from "../../../http/dashboard/agent_state.js";
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
  assert.deepEqual(agentState.agentCounts(state, T0), { up: 1, late: 1, down: 2, unknown: 1, stopped: 0, total: 5 });
});

test("trouble comes first", () => {
  const state = withAgents(row("a"), row("b", { liveness: "late" }), row("c", { liveness: "down", status: "inactive" }));
  assert.deepEqual(agentState.rankedAgents(state, T0).map((r) => r.agent.id), ["c", "b", "a"]);
});

test("an agent that misses three beats is late before the daemon says so", () => {
  const state = withAgents(row("a"));
  heard(state, T0 + 14000);
  assert.equal(agentState.agentCounts(state, T0 + 14000).late, 0);
  heard(state, T0 + 16000);
  assert.equal(agentState.agentCounts(state, T0 + 16000).late, 1);
});

test("nobody is late because the page itself hears nothing", () => {
  const state = withAgents(row("a"));
  assert.equal(agentState.agentCounts(state, T0 + 60000).late, 0);
  state.link.phase = "lost";
  assert.equal(agentState.agentCounts(state, T0 + 60000).up, 1);
});

test("a beat makes an agent up, and keeps its strip bounded", () => {
  const state = withAgents(row("a", { liveness: "late" }));
  for (let i = 1; i <= 40; i += 1) assert.deepEqual(store.applyFrame(state, beat("a", T0 + i * 5000, { interval_s: 2, version: "2" }), T0), ["agents"]);
  const agent = state.agents.get("a");
  assert.equal(agent.liveness, "up");
  assert.equal(agent.beats.length, agentState.BEATS_KEPT);
  assert.equal(agent.intervalMs, 2000);
  assert.equal(agent.version, "2");
});

test("a beat may say that its agent goes, fails or has halted", () => {
  const state = withAgents(row("a"));
  const said = (status) => {
    store.applyFrame(state, beat("a", T0, { status }), T0);
    return agentState.agentCondition(state.agents.get("a"), T0);
  };
  assert.deepEqual(["offline", "failed", "halted", "whatever"].map(said), ["stopped", "error", "halted", "up"]);
});

test("a beat of an agent that is not in the registry changes nothing", () => {
  assert.deepEqual(store.applyFrame(withAgents(), beat("x", T0), T0), []);
});

test("beats from history fill the strip in order, none twice", () => {
  const state = withAgents(row("a"));
  const rows = [3, 1, 2, 2].map((n) => ({ id: n, ts: iso(T0 + n * 5000), type: "heartbeat", source: "a", payload: {} }));
  store.applyAgentHistory(state, rows);
  assert.deepEqual(state.agents.get("a").beats, [1, 2, 3].map((n) => T0 + n * 5000));
});

test("a changed row keeps the beats", () => {
  const state = withAgents(row("a"));
  store.applyFrame(state, beat("a", T0), T0);
  store.applyFrame(state, { type: "agent_status", data: row("a", { status: "error", last_error: "x" }) }, T0);
  assert.equal(state.agents.get("a").beats.length, 1);
  assert.equal(agentState.agentCondition(state.agents.get("a"), T0), "error");
  assert.deepEqual(store.applyFrame(state, { type: "agent_status", data: null }, T0), []);
});

test("an agent that said good-bye is stopped, one that fell silent is down", () => {
  const gone = { liveness: "down", status: "inactive", is_alive: false };
  const state = withAgents(row("left", gone), row("silent", gone), row("by-operator", { ...gone, liveness: "stopped" }));
  const offline = (id, at) => ({ id: at, type: "agent.offline", ts: iso(at), payload: { id, last_beat: iso(T0) } });
  store.applyAgentHistory(state, [offline("left", T0 + 4), offline("silent", T0 + 300_000), offline("nobody", T0), { type: "agent.offline", payload: null }]);
  assert.deepEqual(agentState.agentCounts(state, T0), { up: 0, late: 0, down: 1, unknown: 0, stopped: 2, total: 3 });
});

test("a good-bye is known from heartbeats of before, and counts no more once the agent is back", () => {
  const state = withAgents(row("a", { liveness: "down", status: "inactive" }));
  store.applyAgentHistory(state, [{ id: 1, type: "heartbeat", ts: iso(T0), source: "a", payload: { status: "stopped" } }]);
  assert.equal(agentState.agentCondition(state.agents.get("a"), T0), "stopped");
  store.applyFrame(state, beat("a", T0 + 5000), T0);
  store.applyAgents(state, { agents: [row("a", { liveness: "down", status: "inactive", last_beat: iso(T0 + 5000) })] }, T0);
  assert.equal(agentState.agentCondition(state.agents.get("a"), T0), "down");
});

test("an offline event that comes live is told apart in the same way", () => {
  const state = withAgents(row("a", { liveness: "down", status: "inactive" }));
  store.applyFrame(state, { type: "redis_event", eventType: "agent.offline", id: 9, timestamp: iso(T0 + 3), data: { id: "a", last_beat: iso(T0) } }, T0);
  assert.equal(agentState.agentCondition(state.agents.get("a"), T0), "stopped");
});

test("agents that place orders come before others in the same trouble", () => {
  const state = withAgents(row("a", { liveness: "late" }), row("z", { liveness: "late", agent_group: "execution" }), row("m", { liveness: "late" }));
  store.applyFrame(state, beat("m", T0, { gate: "open" }), T0);
  state.agents.get("m").liveness = "late";
  assert.deepEqual(agentState.rankedAgents(state, T0).map((r) => r.agent.id), ["z", "m", "a"]);
});

test("an error is said in plain words, with its age where that is known", () => {
  const state = withAgents(row("a", { last_error: "ValueError('no price')" }), row("b"));
  assert.equal(agentState.errorWords(state.agents.get("a"), T0), "no price");
  store.applyFrame(state, beat("a", T0, { status: "error", error: "KeyError: 'AAPL'" }), T0);
  assert.equal(agentState.errorWords(state.agents.get("a"), T0 + 12_000), "AAPL, 12 s ago");
  assert.equal(agentState.errorWords(state.agents.get("b"), T0), "");
});
