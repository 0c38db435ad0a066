import assert from "node:assert/strict";
import { test } from "node:test";
import { toEvent } from "../../../http/dashboard/event.js";
import { EventLog, MAX_ROWS, SAMPLE_ABOVE } from "../../../http/dashboard/event_log.js";
import { compileFilter } from "../../../http/dashboard/filter.js";

const T0 = Date.parse("2026-01-31T09:30:00.000Z");
const make = (id, type = "data.market.AAPL.1m", payload = { symbol: "AAPL", price: 1 }) =>
  toEvent({ type: "redis_event", id, channel: type, eventType: type, data: payload, source: "q", timestamp: new Date(T0 + id).toISOString() });
const fill = (log, from, to, nowMs = T0) => {
  for (let id = from; id <= to; id += 1) log.add(make(id), nowMs);
};
const ids = (log) => log.visible.map((row) => row.id);

test("a frame and a REST row become the same event", () => {
  const frame = toEvent({ id: 4, channel: "heartbeat.a", eventType: "heartbeat", data: { status: "ok" }, source: "a", timestamp: "2026-01-31T09:30:00.000Z" });
  const row = toEvent({ id: 4, type: "heartbeat", payload: { status: "ok" }, source: "a", ts: "2026-01-31T09:30:00.000Z" });
  assert.deepEqual(frame, row);
  assert.equal(row.channel, "heartbeat.a");
});

test("a large payload is not kept", () => {
  assert.equal(toEvent({ id: 1, type: "x", payload: { a: 1 }, ts: "" }, 1e6).payload, undefined);
});

test("events stand in the order of their ids, none twice", () => {
  const log = new EventLog();
  for (const id of [3, 1, 2, 3]) log.add(make(id), T0);
  assert.deepEqual(ids(log), [1, 2, 3]);
  assert.equal(log.add(make(2), T0), false);
  assert.equal(log.lastId, 3);
});

test("the list is bounded and loses its oldest", () => {
  const log = new EventLog();
  for (let id = 1; id <= 3 * MAX_ROWS; id += 1) log.add(make(id), T0 + id * 20);
  assert.ok(log.rows.length <= MAX_ROWS * 1.13);
  assert.equal(log.rows.at(-1).id, 3 * MAX_ROWS);
});

test("heartbeats are hidden and counted until they are asked for", () => {
  const log = new EventLog();
  log.add(make(1, "heartbeat", { status: "ok" }), T0);
  log.add(make(2), T0);
  assert.deepEqual(ids(log), [2]);
  assert.equal(log.hiddenBeats, 1);
  log.setFilter(compileFilter(""), true);
  assert.deepEqual(ids(log), [1, 2]);
});

test("heartbeats push nothing else out", () => {
  const log = new EventLog();
  log.add(make(1), T0);
  for (let id = 2; id < 9000; id += 1) log.add(make(id, "heartbeat", {}), T0 + id * 20);
  assert.deepEqual(ids(log), [1]);
});

test("a filter applies to what is there and to what comes", () => {
  const log = new EventLog();
  log.add(make(1), T0);
  log.add(make(2, "strategy.candidate"), T0);
  log.setFilter(compileFilter("strategy.*"), false);
  log.add(make(3), T0);
  log.add(make(4, "strategy.candidate"), T0);
  assert.deepEqual(ids(log), [2, 4]);
});

test("a frozen list stands still, counts what comes, and catches up", () => {
  const log = new EventLog();
  fill(log, 1, 3);
  log.freeze();
  fill(log, 4, 8);
  assert.deepEqual(ids(log), [1, 2, 3]);
  assert.equal(log.waiting, 5);
  log.thaw();
  assert.equal(log.visible.length, 8);
  assert.equal(log.waiting, 0);
});

test("above the limit only one in so many is listed, but every warning", () => {
  const log = new EventLog();
  for (let second = 0; second < 3; second += 1) {
    for (let i = 0; i < 10 * SAMPLE_ABOVE; i += 1) log.add(make(second * 5000 + i + 1), T0 + second * 1000);
  }
  log.tick(T0 + 3000);
  assert.ok(log.sampling >= 10);
  const before = log.rows.length;
  log.add(make(90001, "bus.gap", {}), T0 + 3000);
  assert.equal(log.rows.length, before + 1);
});

test("a frozen list shows what the sampling left out", () => {
  const log = new EventLog();
  for (let i = 1; i <= 1000; i += 1) log.add(make(i), T0 + Math.floor(i / 500) * 1000);
  assert.ok(log.rows.length < 1000);
  log.freeze();
  assert.equal(log.visible.length, 1000);
});

test("sampling ends when the burst does", () => {
  const log = new EventLog();
  fill(log, 1, 1000);
  log.tick(T0 + 1000);
  assert.ok(log.sampling > 1);
  log.tick(T0 + 2000);
  assert.equal(log.sampling, 1);
});

test("a poison row is replaced where it stands", () => {
  const log = new EventLog();
  fill(log, 1, 3);
  log.add(make(2, "bus.rejected", { reason: "not storable" }), T0, { replaces: true });
  assert.equal(log.visible[1].type, "bus.rejected");
});

test("a gap has its row until it is filled", () => {
  const log = new EventLog();
  fill(log, 1, 2);
  log.addGap(3, 9, "7 events came too fast");
  fill(log, 10, 11);
  assert.deepEqual(ids(log), [1, 2, 9, 10, 11]);
  const gap = log.visible[2];
  log.addHistory([make(3), make(9)]);
  log.closeGap(gap);
  assert.deepEqual(ids(log), [1, 2, 3, 9, 10, 11]);
});

test("older pages join on at the far end, and paging goes on below them", () => {
  const log = new EventLog();
  fill(log, 100, 110);
  assert.equal(log.firstId, 100);
  assert.equal(log.addOlder([make(90), make(95)]), 2);
  assert.equal(log.firstId, 90);
  assert.equal(log.addOlder([make(80, "heartbeat", {})]), 0);
  assert.equal(log.firstId, 80);
  log.setFilter(compileFilter("strategy.*"), false);
  assert.equal(log.firstId, null);
});

test("another instance's events start afresh", () => {
  const log = new EventLog();
  fill(log, 1, 5);
  log.clear();
  assert.deepEqual(ids(log), []);
  assert.equal(log.lastId, 0);
});
