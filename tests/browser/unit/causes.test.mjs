/* Names of events, and what an event was caused by; the names are those of protocol/causes.py. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nameOf } from "../../../http/dashboard/event.js";
import { causesOf, causeWords } from "../../../http/dashboard/panels/event_details.js";

const event = (id, payload, channel = "strategy.x") => ({ id, channel, source: "s", payload });

test("an event's name is its id, else its place in its producer's numbering", () => {
  assert.equal(nameOf(event(1, { id: "own", boot: "b", seq: 3 })), "own");
  assert.equal(nameOf(event(1, { boot: "b", seq: 3 })), "b/s/strategy.x/3");
  assert.equal(nameOf({ ...event(1, { boot: "b", seq: 0 }), source: null }), "b/None/strategy.x/0");
  for (const payload of [undefined, null, 3, [], {}, { id: " " }, { id: 3 }, { boot: "b" }, { boot: "", seq: 1 }, { boot: "b", seq: -1 }, { boot: "b", seq: 1.5 }, { boot: "b", seq: "1" }]) assert.equal(nameOf(event(1, payload)), null);
});

test("cause and consequences are found by name, never the event itself", () => {
  const middle = event(2, { id: "m", causation_id: "c" });
  const rows = [event(1, { id: "c" }), middle, event(3, { id: "x", causation_id: "m" }), event(4, { causation_id: "m" }), event(5, {})];
  const found = causesOf(middle, rows);
  assert.deepEqual([found.cause.id, found.consequences.map(({ id }) => id), found.others], [1, [3, 4], 1]);
  const circle = event(7, { id: "o", causation_id: "o" });
  assert.deepEqual(causesOf(circle, [circle]), { cause: null, consequences: [], others: 0 });
  assert.deepEqual(causesOf(event(8, {}), rows).consequences, [], "one without a name has caused nothing that can be known");
});

test("what was not found, and how far was looked, is said", () => {
  const none = { cause: null, consequences: [], others: 1 };
  const words = causeWords(event(1, { id: "a", causation_id: "far" }), none, true);
  assert.equal(words.cause, "It names far as its cause, which is not stored within 15 min of it.");
  assert.match(words.note, /1 other event of this chain; only the first 200 within 15 min/);
  assert.equal(causeWords(event(1, { id: "a" }), none, false).cause, "It names no cause.");
  const many = { cause: null, consequences: Array.from({ length: 60 }, (_, i) => event(i, {})), others: 0 };
  assert.equal(causeWords(event(1, {}), many, false).consequences, "The first 50 of 60:");
});
