/* What can be done with the event list: files of it, views of it, test events; and who sends a topic. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { toEvent } from "../../../http/dashboard/event.js";
import { sourcesOf } from "../../../http/dashboard/panels/event_details.js";
import { emitWords, exportedWords, lineOf, payloadOf, viewWords } from "../../../http/dashboard/panels/event_tools.js";
import { addView, FILTER_CHARS, NAME_CHARS, savedViews, saveViews, VIEWS_KEPT } from "../../../http/dashboard/storage.js";

const T0 = Date.parse("2026-01-31T09:30:00.000Z");
const row = { id: 7, type: "strategy.x", source: null, ts: "2026-01-31T09:30:00.123Z", payload: { a: "line\nbreak\u2028" }, processed: true };

test("a line is one line of JSON with the fields of the row; a payload that is not there is left out", () => {
  const line = lineOf(toEvent(row));
  assert.equal(line.split("\n").length, 2);
  assert.deepEqual(JSON.parse(line), { id: 7, type: "strategy.x", source: null, ts: row.ts, payload: row.payload });
  assert.equal("payload" in JSON.parse(lineOf(toEvent(row, 1e6))), false);
  assert.deepEqual([toEvent(row).processed, toEvent({ ...row, processed: undefined }).processed], [true, null]);
});

test("what is not in a file is said", () => {
  const all = { events: 1200, missing: 0, gaps: 0, sampling: 1 };
  assert.equal(exportedWords("f", all), "Exported 1\u2009200 events to f");
  assert.equal(exportedWords("f", { ...all, events: 1, missing: 2, gaps: 1, sampling: 4 }), "Exported 1 event to f; 2 without their large payloads; 1 gap not filled; only the 1 in 4 that was shown");
});

test("views are kept by name, bounded in number and length; what makes no sense is left out", () => {
  const kept = new Map();
  globalThis.localStorage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, text) => kept.set(key, text) };
  const view = (name, more) => ({ name, filter: "strategy.*", heartbeats: false, spanMs: 900_000, range: null, ...more });
  assert.deepEqual([savedViews(), addView(view("a")), addView(view("b", { range: { from: 1, to: 2 } }))], [[], null, null]);
  assert.equal(addView(view("a", { filter: "x" })), null);
  assert.deepEqual(savedViews().map(({ name, filter }) => [name, filter]), [["a", "x"], ["b", "strategy.*"]]);
  for (const [bad, words] of [[view(""), /at most 40/], [view("n".repeat(NAME_CHARS + 1)), /at most 40/], [view("c", { filter: "f".repeat(FILTER_CHARS + 1) }), /more than 500/]]) assert.match(addView(bad), words);
  for (let i = 2; i < VIEWS_KEPT; i += 1) assert.equal(addView(view(`v${i}`)), null);
  assert.match(addView(view("one too many")), /20 views are kept/);
  assert.equal(addView(view("v3")), null, "one of its name is replaced all the same");
  saveViews([null, 3, { name: "x" }, view("ok"), view("turned", { range: { from: 2, to: 1 } })]);
  assert.deepEqual(savedViews().map(({ name }) => name), ["ok"]);
  for (const text of ["", "{", "3", "{}"]) {
    kept.set("orchestrator.views", text);
    assert.deepEqual(savedViews(), []);
  }
  globalThis.localStorage = { getItem: () => null, setItem: () => { throw new Error("full"); } };
  assert.match(addView(view("a")), /keeps nothing/);
  delete globalThis.localStorage;
  assert.equal(viewWords(view("a", { heartbeats: true })), "strategy.* · heartbeats · now, axis of 15 min");
  assert.equal(viewWords(view("a", { filter: "", range: { from: T0, to: T0 + 60_000 } })), "no filter · 2026-01-31 09:30:00 to 09:31:00 UTC");
});

test("a test event says what it does, and louder where it is none", () => {
  assert.doesNotMatch(emitWords("test.x", "desk-a (PAPER)"), /for real/);
  assert.match(emitWords("strategy.x", "desk-a (PAPER)"), /^desk-a \(PAPER\): it is stored for good.*listen to strategy\.x take it for real/);
  assert.deepEqual(payloadOf('{"a": 1}'), { payload: { a: 1 }, fault: null });
  assert.match(payloadOf("{a}").fault, /no JSON/);
});

test("who sends a topic, at which rate", () => {
  const events = [["a", 0], ["b", 30_000], ["a", 60_000], [null, 90_000]].map(([source, at]) => ({ source, ts: T0 + at }));
  assert.deepEqual(sourcesOf(events, T0 + 120_000), [{ source: "a", n: 2, perMinute: 1 }, { source: "b", n: 1, perMinute: 0.5 }, { source: null, n: 1, perMinute: 0.5 }]);
  assert.deepEqual(sourcesOf([], T0), []);
});
