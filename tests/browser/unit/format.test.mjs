import assert from "node:assert/strict";
import { test } from "node:test";
import { age, clip, clock, clockMs, compact, count, duration, figure, moment, NONE, parseTime, percent, plural, price } from "../../../http/dashboard/format.js";

const noon = Date.parse("2026-01-31T12:00:00.482Z");

test("large counts get thin spaces and odd ones a dash", () => {
  assert.equal(count(1204312), "1\u2009204\u2009312");
  assert.equal(count(7), "7");
  assert.equal(count(NaN), NONE);
});

test("compact counts keep three digits", () => {
  assert.deepEqual([9999, 12480, 250000, 3.2e6, 4e9].map(compact), ["9\u2009999", "12.5k", "250k", "3.2M", "4.0G"]);
  assert.equal(compact(undefined), NONE);
});

test("a duration has one unit", () => {
  assert.deepEqual([3, 5000, 7400, 42000, 240000, 9e6, 3e8].map(duration), ["3 ms", "5 s", "7.4 s", "42 s", "4 min", "3 h", "3 d"]);
  assert.equal(duration(NaN), NONE);
  assert.equal(duration(-5), "0 ms");
});

test("an age has no tenths and is never negative", () => {
  assert.deepEqual([-20, 900, 7400, 42000].map(age), ["0 s", "0 s", "7 s", "42 s"]);
  assert.equal(age(NaN), NONE);
});

test("times are in UTC whatever the zone of the browser", () => {
  assert.equal(clock(noon), "12:00:00");
  assert.equal(clockMs(noon), "12:00:00.482");
  assert.equal(clock(NaN), "--:--:--");
  assert.equal(clockMs(NaN), "--:--:--.---");
});

test("a moment of another day says the day", () => {
  assert.equal(moment(noon, noon + 1000), "12:00:00 UTC");
  assert.equal(moment(noon, noon + 86400000), "31 Jan 12:00:00 UTC");
  assert.equal(moment(NaN, noon), NONE);
});

test("figures of any size stay short", () => {
  assert.deepEqual([0, 12500, 12500.4, 187.324, 0.01834, 0.00001].map(figure), ["0", "12\u2009500", "12\u2009500", "187.32", "0.0183", "1.0e-5"]);
  assert.equal(figure("1"), NONE);
});

test("prices keep two decimals", () => {
  assert.deepEqual([150, 187.324, 0.012345678, 2e6].map(price), ["150.00", "187.32", "0.012346", "2\u2009000\u2009000"]);
  assert.equal(price(null), NONE);
});

test("the small ones", () => {
  assert.equal(percent(0.824), "82\u2009%");
  assert.equal(percent(undefined), NONE);
  assert.equal(plural(1, "agent"), "1 agent");
  assert.equal(plural(2, "agent"), "2 agents");
  assert.equal(clip("abcdef", 4), "abc…");
  assert.equal(clip("abc", 4), "abc");
  assert.ok(Number.isNaN(parseTime(null)));
});
