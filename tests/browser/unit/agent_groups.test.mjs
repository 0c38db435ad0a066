import assert from "node:assert/strict";
import { test } from "node:test";
import * as agents from "../../../http/dashboard/agent_state.js";
import { dayOf } from "../../../http/dashboard/panels/agent_details.js";
import { applyAgents, createState } from "../../../http/dashboard/store.js";
import { applyManaged } from "../../../http/dashboard/system.js";

const T0 = Date.parse("2026-01-31T09:30:00.000Z");
const HOUR = 3_600_000;
const iso = (ms) => new Date(ms).toISOString();
const ranked = (...rows) => rows.map(([id, group, condition, version]) => ({ agent: { id, group, version }, condition }));
const crowd = (n, group = "g") => Array.from({ length: n }, (_, i) => [`${group}-${i}`, group, "up", "1.0"]);

test("few agents are shown one by one, many by group behind their trouble", () => {
  assert.equal(agents.grouped(ranked(...crowd(12)), new Set()).length, 12);
  const many = ranked(["x", "h", "down"], ...crowd(12), ["h-1", "h", "stopped"], ["h-2", "h", "halted"]);
  assert.deepEqual(agents.grouped(many, new Set()).map((item) => item.words ?? item.agent.id), ["x", "12 fine", "1 halted, 1 stopped on purpose"]);
  assert.equal(agents.grouped(many, new Set(["g"])).filter((item) => item.agent).length, 13);
  assert.equal(agents.grouped(many, new Set(), { fold: false }).length, 15);
});

test("all agents are fine only where none is halted and no stop concerns one", () => {
  const rows = (...pairs) => pairs.map(([condition, under]) => ({ condition, under }));
  const words = (...pairs) => agents.summaryWords(rows(...pairs));
  assert.equal(words(["up"], ["up"], ["up"]), "all 3 agents fine");
  assert.equal(words(["up"]), "1 agent fine");
  assert.equal(words(["up"], ["up"], ["halted"]), "2 fine, 1 halted");
  assert.equal(words(["up", "held"], ["up", "held"], ["halted", "held"]), "2 up under a stop, 1 halted");
  assert.equal(words(["up", "open"], ["up", "open"]), "2 up");
  assert.equal(words(["late", "held"], ["down"], ["error"], ["up"], ["stopped"]), "3 in trouble, 1 fine, 1 stopped on purpose");
  const [fold] = agents.grouped(ranked(...crowd(13)).map((row, i) => ({ ...row, under: i ? "held" : null })), new Set());
  assert.match(fold.words, /^1 fine, 12 up under a stop/);
});

test("who runs another version than most of its group is said", () => {
  const rows = ranked(...crowd(12), ["odd", "g", "up", "1.1"], ["mute", "g", "up", null]);
  const [fold] = agents.grouped(rows, new Set());
  assert.equal(fold.words, "14 fine, versions 1.0 (12), 1.1 (1)");
  const items = agents.grouped(rows, new Set(["g"]));
  assert.deepEqual(items.filter((item) => item.drift).map((item) => [item.agent.id, item.drift]), [["odd", "version 1.1, others 1.0"]]);
});

test("several processes under one id are trouble, and said", () => {
  const state = createState();
  const row = { id: "a", last_beat: iso(T0), status: "active", liveness: "up" };
  applyAgents(state, { agents: [{ ...row, instances: 2 }] }, T0);
  assert.equal(agents.agentCondition(state.agents.get("a"), T0), "error");
  assert.equal(agents.errorWords(state.agents.get("a"), T0), "2 processes beat under this id: end all but one");
  applyAgents(state, { agents: [{ ...row, instances: 1 }] }, T0);
  assert.equal(agents.agentCondition(state.agents.get("a"), T0), "up");
});

test("a day is told from changes; what was before the first of them follows from it", () => {
  const change = (type, at, id = "a", more = {}) => ({ type, ts: at, payload: { id, ...more } });
  const day = (events, condition = "up") => dayOf(events, "a", { condition, since: T0, nowMs: T0 + 10 * HOUR });
  assert.deepEqual(day([]), { bands: [{ from: T0, to: T0 + 10 * HOUR, key: "up" }], known: [[T0, T0 + 10 * HOUR]] });
  const { bands } = day([change("agent.offline", T0 + HOUR), change("agent.offline", T0 + HOUR, "b"), change("agent.online", T0 + 2 * HOUR, "a", { reason: "heartbeat after silence" }), change("agent.offline", T0 + 3 * HOUR, "a", { reason: "it said so" })]);
  assert.deepEqual(bands.map(({ key, to }) => [key, (to - T0) / HOUR]), [["up", 1], ["down", 2], ["up", 3], ["stopped", 10]]);
  assert.deepEqual(day([change("agent.online", T0 + HOUR, "a", { reason: "first heartbeat" })]).bands.map(({ key }) => key), ["up"]);
  assert.deepEqual(day([change("runtime.stopping", T0 + HOUR), change("runtime.started", T0 + 2 * HOUR)]).known, [[T0, T0 + HOUR], [T0 + 2 * HOUR, T0 + 10 * HOUR]]);
});

test("what a managed agent uses is remembered", () => {
  const state = createState();
  for (const [i, cpu] of [[0, 1.5], [1, 3]]) applyManaged(state, { agents: [{ id: "a", cpu_percent: cpu, memory_bytes: 1e6, restarts: 0 }, { id: "inside", cpu_percent: null }] }, T0 + i * 30_000);
  assert.deepEqual(state.series.points("cpu_percent a").map((point) => point.value), [1.5, 3]);
  assert.deepEqual(state.series.points("cpu_percent inside"), []);
  assert.equal(state.managed.get("a").restarts, 0);
});
