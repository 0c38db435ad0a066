/* What charts are drawn from: scales, counts by time, marks, bands. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { axisOf, BUCKET_MS, bucketAt, bucketLength, CLASSES, classOf, EventCounts, KEPT_MS, niceTop, queryOf, stack, timeScale, timeTicks, toStored } from "../../../http/dashboard/time_series.js";
import { addMarks, MARKS_KEPT, toEvent } from "../../../http/dashboard/event.js";
import { EventLog } from "../../../http/dashboard/event_log.js";
import { momentWords } from "../../../http/dashboard/panels/timeline.js";
import { bandsOf, HOLDS_MS, knownSpans } from "../../../http/dashboard/panels/regime.js";
import * as store from "../../../http/dashboard/store.js";

const T0 = Date.parse("2026-01-31T09:30:00.000Z");
const MINUTE = 60_000;
const event = (id, ts, type = "data.market.AAPL.1m", payload = {}) => toEvent({ id, type, payload, source: "q", ts: new Date(ts).toISOString() });

test("ticks stand at round times, and leave room for their labels", () => {
  const ticks = timeTicks(T0 + 1234, T0 + 15 * MINUTE, 900);
  assert.deepEqual(ticks.slice(0, 2).map((tick) => tick.label), ["09:32", "09:34"]);
  assert.ok(timeTicks(T0, T0 + 1440 * MINUTE, 390).length <= 6);
  assert.equal(timeTicks(T0, T0 + 30_000, 900)[1].label, "09:30:05");
});

test("buckets are wide enough to be hit, and never shorter than what is counted", () => {
  assert.equal(bucketLength(15 * MINUTE, 1000, BUCKET_MS), 5000);
  assert.equal(bucketLength(1440 * MINUTE, 1000, BUCKET_MS), 600_000);
  assert.ok(bucketLength(15 * MINUTE, 0, BUCKET_MS) >= BUCKET_MS);
});

test("the axis ends at a round number", () => {
  assert.deepEqual([0, 1, 3, 18, 50, 51, 2400].map(niceTop), [1, 1, 5, 20, 50, 100, 5000]);
});

test("pixels and times are each other's inverse, within the chart", () => {
  const scale = timeScale(T0, T0 + 1000, 4, 104);
  assert.equal(scale.x(T0 + 500), 54);
  assert.equal(scale.ts(54), T0 + 500);
  assert.deepEqual([scale.ts(-10), scale.ts(500)], [T0, T0 + 1000]);
});

test("a bar is stacked in the order of its classes", () => {
  assert.deepEqual(stack({ risk: 1, data: 7 }, CLASSES), [{ key: "data", low: 0, high: 7 }, { key: "risk", low: 7, high: 8 }]);
  const buckets = [{ ts: T0, counts: {} }];
  assert.equal(bucketAt(buckets, T0 + 4999, 5000), buckets[0]);
  assert.equal(bucketAt(buckets, T0 + 5000, 5000), null);
});

test("events are counted by class and time, and merged for a longer look", () => {
  const counts = new EventCounts();
  for (const [ts, type] of [[0, "data.market.A.1m"], [4999, "data.x"], [5000, "risk.killswitch"], [61_000, "odd"]]) counts.add({ ts: T0 + ts, type });
  counts.add({ ts: NaN, type: "data.x" });
  assert.deepEqual(counts.buckets(T0, T0 + 10_000, BUCKET_MS), [{ ts: T0, counts: { data: 2 } }, { ts: T0 + 5000, counts: { risk: 1 } }]);
  assert.deepEqual(counts.buckets(T0, T0 + 2 * MINUTE, MINUTE), [{ ts: T0, counts: { data: 2, risk: 1 } }, { ts: T0 + MINUTE, counts: { other: 1 } }]);
  assert.equal(classOf("constructor"), "other");
});

test("what was not seen is unknown, not zero", () => {
  const counts = new EventCounts();
  assert.deepEqual(counts.known(T0, T0 + MINUTE), []);
  counts.startAt(T0 + 7000);
  assert.deepEqual(counts.known(T0, T0 + MINUTE), [[T0 + 10_000, T0 + MINUTE]]);
  counts.miss(T0 + 21_000, T0 + 24_000);
  assert.deepEqual(counts.known(T0, T0 + MINUTE), [[T0 + 10_000, T0 + 20_000], [T0 + 25_000, T0 + MINUTE]]);
  assert.deepEqual(counts.known(T0, T0 + 5000), []);
  counts.clear();
  assert.deepEqual(counts.known(T0, T0 + MINUTE), []);
});

test("the rate is that of the last full bucket", () => {
  const counts = new EventCounts();
  for (let n = 0; n < 20; n += 1) counts.add({ ts: T0 + n, type: n % 2 ? "data.x" : "heartbeat" });
  assert.deepEqual([counts.rate(T0 + 1000), counts.rate(T0 + 5000), counts.rate(T0 + 10_000)], [0, 4, 0]);
});

test("counts older than a day are forgotten", () => {
  const counts = new EventCounts();
  for (const ts of [T0, T0 + KEPT_MS + MINUTE]) counts.add({ ts, type: "data.x" });
  assert.equal(counts.buckets(T0, T0 + 2 * KEPT_MS, BUCKET_MS).length, 1);
});

test("the list counts what it is given once, and a hole is unknown", () => {
  const log = new EventLog();
  log.add(event(1, T0), T0);
  log.add(event(1, T0), T0);
  log.addHistory([event(2, T0 + 1000), event(9, T0 + 60_000)]);
  log.counts.startAt(T0 - 1000);
  log.addGap(3, 8);
  assert.deepEqual(log.counts.buckets(T0, T0 + 5000, BUCKET_MS), [{ ts: T0, counts: { data: 2 } }]);
  assert.deepEqual(log.counts.known(T0, T0 + 2 * MINUTE), [[T0 + 65_000, T0 + 2 * MINUTE]]);
});

test("a held list stays what it is, whatever comes, until it is let go", () => {
  const log = new EventLog();
  log.add(event(50, T0), T0);
  log.freeze();
  log.hold([event(1, T0 - MINUTE), event(2, T0 - MINUTE, "heartbeat")]);
  log.addHistory([event(51, T0)]);
  assert.deepEqual(log.visible.map((row) => row.id), [1]);
  log.thaw();
  assert.deepEqual(log.visible.map((row) => row.id), [50, 51]);
});

test("stops, releases, gaps and restarts are marked, each once, in order", () => {
  const marks = addMarks([], [
    event(3, T0 + 3, "bus.gap", { count: 4 }), event(1, T0 + 1, "risk.killswitch", { enabled: true, reason: "fat finger" }), event(9, T0, "data.x"),
    event(2, T0 + 2, "risk.killswitch", { enabled: true, released: { trip_id: "t" } }), event(4, T0 + 4, "runtime.started"), event(5, T0 + 5, "runtime.actor_restarted", { actor: "pruner" }),
  ]);
  assert.deepEqual(marks.map((mark) => mark.key), ["stop", "release", "gap", "start", "restart"]);
  assert.match(marks[0].words, /^Stop: STOP {2}fat finger/);
  const many = addMarks(marks, Array.from({ length: 2 * MARKS_KEPT }, (_, i) => event(100 + i, T0 + 100 + i, "bus.gap")));
  assert.equal(many.length, MARKS_KEPT);
  const state = store.createState();
  store.applyMarks(state, [], T0);
  store.applyMarks(state, [event(1, T0 + 1, "bus.gap")], T0 + 5);
  assert.deepEqual([state.marks.since, state.marks.list.length], [T0, 1]);
});

test("a moment is told in numbers, by its mark, or as unknown", () => {
  const bucket = { ts: T0, counts: { data: 3, risk: 1 } };
  assert.equal(momentWords(T0, 5000, bucket, undefined, true), "09:30:00 UTC, 5 s · 4 events: data 3, risk 1");
  assert.equal(momentWords(T0, 5000, null, undefined, true), "09:30:00 UTC, 5 s · 0 events");
  assert.equal(momentWords(T0, 5000, bucket, { ts: T0 + 1000, words: "Stop: x" }, true), "09:30:01 UTC · Stop: x · 09:30:00, 5 s · 4 events: data 3, risk 1");
  assert.match(momentWords(T0, 5000, null, undefined, false), /not counted/);
});

test("readings become spans that hold until the next one, or not long", () => {
  const at = (s, regime) => ({ ts: T0 + s * 1000, regime });
  const bands = bandsOf([at(0, "stable"), at(15, "stable"), at(30, "volatile"), at(200, "odd")], T0 + 210_000);
  assert.deepEqual(bands.map((band) => [(band.from - T0) / 1000, (band.to - T0) / 1000, band.key, band.pattern]),
    [[0, 30, "stable", "plain"], [30, 30 + HOLDS_MS / 1000, "volatile", "lines"], [200, 210, "other", "plain"]]);
  assert.deepEqual(knownSpans(bands).map(([from, to]) => [(from - T0) / 1000, (to - T0) / 1000]), [[0, 75], [200, 210]]);
  assert.deepEqual(bandsOf([], T0), []);
});

const answer = (more = {}) => ({ timestamp: new Date(T0 + 30_000).toISOString(), from: new Date(T0 - 15 * MINUTE).toISOString(), to: new Date(T0 + MINUTE).toISOString(), counted_from: null, bucket_s: 60,
  buckets: [{ ts: new Date(T0 - MINUTE).toISOString(), counts: { data: 5, risk: 1 } }, { ts: new Date(T0).toISOString(), counts: { data: 2 } }], ...more });
const axis = (stored, own, to = T0 + 50_000) => axisOf({ stored, own, from: to - 15 * MINUTE, to, widthPx: 900 });

test("the daemon is asked for buckets that can be hit, and that it has", () => {
  assert.deepEqual([15, 60, 360, 1440].map((minutes) => queryOf({ spanMs: minutes * MINUTE, widthPx: 900 }, T0).buckets), [15, 60, 180, 144]);
  assert.equal(queryOf({ spanMs: MINUTE, widthPx: 900 }, T0).from, "2026-01-31T09:29:00.000Z");
  assert.equal(toStored({ status: "no" }), null);
});

test("what the daemon counted is joined with what the page has counted since, nothing twice", () => {
  const own = new EventCounts();
  own.startAt(T0 + 10_000);
  for (const s of [12, 20, 35, 45]) own.add({ ts: T0 + s * 1000, type: "data.x" });
  own.add({ ts: T0 + 46_000, type: "agent.online" });
  const { lengthMs, buckets, known } = axis(toStored(answer()), own);
  assert.equal(lengthMs, MINUTE);
  assert.deepEqual(buckets, [{ ts: T0 - MINUTE, counts: { data: 5, risk: 1 } }, { ts: T0, counts: { data: 4, agent: 1 } }]);
  assert.deepEqual(known, [[T0 + 50_000 - 15 * MINUTE, T0 + 27_000], [T0 + 27_000, T0 + 50_000]]);
});

test("of what is still being counted nothing is claimed, nor of what the page missed after an answer", () => {
  const own = new EventCounts();
  own.startAt(T0);
  own.miss(T0 + 31_000, T0 + 34_000);
  const { known } = axis(toStored(answer({ counted_from: new Date(T0 - 2 * MINUTE).toISOString() })), own);
  assert.deepEqual(known.map((span) => span.map((ts) => (ts - T0) / 1000)), [[-120, 27], [27, 30], [35, 50]]);
});

test("where the page has counted all by itself its finer counts are drawn", () => {
  const own = new EventCounts();
  own.startAt(T0 - 20 * MINUTE);
  own.add({ ts: T0, type: "data.x" });
  assert.deepEqual(axis(toStored(answer()), own).buckets, [{ ts: T0, counts: { data: 1 } }]);
  assert.equal(axis(null, new EventCounts()).known.length, 0);
});

test("an answer for a length that the axis no longer has is not taken", () => {
  const state = store.createState();
  store.applyHistogram(state, answer(), T0);
  assert.equal(state.axis.stored.buckets.length, 2);
  state.axis = { ...state.axis, spanMs: 360 * MINUTE, stored: null };
  store.applyHistogram(state, answer(), T0);
  assert.equal(state.axis.stored, null);
});
