import assert from "node:assert/strict";
import { test } from "node:test";
import { areaPath, NAMES_KEPT, POINTS_KEPT, Series } from "../../../http/dashboard/time_series.js";
import { createState } from "../../../http/dashboard/store.js";
import { applyActors, applyMetrics, readMetrics } from "../../../http/dashboard/system.js";

const T0 = Date.parse("2026-01-31T09:30:00.000Z");
const PAGE = `# HELP orchestrator_journal_events Events not committed yet.
# TYPE orchestrator_journal_events gauge
orchestrator_journal_events 1234.0
orchestrator_events_received_total{class="control"} 5.0
orchestrator_events_received_total{class="data"} 7.0
orchestrator_loop_stall_seconds_bucket{le="0.05"} 3.0
orchestrator_loop_stall_seconds_created 1.79e+09
orchestrator_db_connections{state="busy"} 1.0
orchestrator_db_connections{state="idle"} 3.0
orchestrator_actor_inbox{actor="persister"} 4.0
orchestrator_actor_processed_total{actor="persister"} 90.0
orchestrator_actor_restarts_total{actor="persister"} 0.0
process_resident_memory_bytes 8.7298048e+07
`;

test("metrics are added up over their labels, actors and parts apart", () => {
  const { figures, labelled, actors } = readMetrics(PAGE);
  assert.equal(figures.journal_events, 1234);
  assert.equal(figures.events_received_total, 12);
  assert.equal(figures.process_resident_memory_bytes, 87298048);
  assert.equal(labelled['db_connections{state="busy"}'], 1);
  assert.deepEqual(actors, [["waiting persister", 4], ["done persister", 90]]);
  assert.equal("loop_stall_seconds_bucket" in figures || "loop_stall_seconds_created" in figures, false);
  assert.deepEqual(readMetrics("not a page"), { figures: {}, labelled: {}, actors: [] });
});

test("tree and metrics feed the same series", () => {
  const state = createState();
  applyActors(state, { tree: { name: "root", children: [{ name: "persister", processed: 40, mailbox: { depth: 2 } }] } }, T0);
  applyMetrics(state, PAGE, T0 + 10_000);
  assert.deepEqual(state.series.points("waiting persister").map((point) => point.value), [2, 4]);
  assert.equal(state.series.rate("done persister"), 5);
  assert.equal(state.sources.metrics.at, T0 + 10_000);
});

test("a count that falls has begun anew: its step says nothing", () => {
  const series = new Series();
  [10, 20, 3, 5].forEach((value, i) => series.add("n", T0 + i * 1000, value));
  assert.deepEqual(series.rates("n").map((point) => point.value), [10, 2]);
  assert.ok(Number.isNaN(series.rate("other")));
});

test("what is no number or not newer is left out; points and names are bounded", () => {
  const series = new Series();
  series.add("n", T0, undefined);
  series.add("n", T0, 1);
  series.add("n", T0, 2);
  assert.deepEqual(series.points("n"), [{ ts: T0, value: 1 }]);
  for (let i = 1; i <= POINTS_KEPT + 50; i += 1) series.add("n", T0 + i, i);
  assert.equal(series.points("n").length, POINTS_KEPT);
  for (let i = 0; i <= NAMES_KEPT; i += 1) series.add(`m${i}`, T0, 1);
  assert.deepEqual(series.points("n"), []);
});

test("a picture is as long as what was seen, within a minute and twenty", () => {
  const series = new Series();
  assert.equal(series.spanMs(T0), 60_000);
  series.add("n", T0, 1);
  assert.deepEqual([30_000, 300_000, 9_000_000].map((ms) => series.spanMs(T0 + ms)), [60_000, 300_000, 1_200_000]);
});

test("an area spans its field by time, and leaves out what is older", () => {
  const points = [{ ts: T0 - 90_000, value: 9 }, { ts: T0 - 30_000, value: 1 }, { ts: T0, value: 2 }];
  assert.equal(areaPath(points, T0, 60_000), "M50.0 20L50.0 10.0L100.0 1.0V20z");
  assert.equal(areaPath(points.slice(0, 1), T0, 60_000), "");
  assert.equal(areaPath([{ ts: T0, value: 0 }], T0, 60_000), "M100.0 20L100.0 19.0V20z");
});
