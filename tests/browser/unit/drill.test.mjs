/** What is said of the last drill. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { drillWords } from "../../../http/dashboard/panels/killswitch.js";

const AT = Date.parse("2026-01-31T09:30:00Z");
const HOUR = 3_600_000;
const drill = { at: "2026-01-31T09:30:00.000Z", answered: 3, missed: 0, slowest: "execution-1", slowest_ms: 41.2 };

test("a drill says its age, who was slowest and who did not answer", () => {
  assert.equal(drillWords(drill, AT + 2 * HOUR), "2 h ago: 3 agents answered, slowest execution-1 in 41 ms.");
  assert.match(drillWords({ ...drill, missed: 2 }, AT + HOUR), /; 2 did not answer\.$/);
  assert.match(drillWords(drill, AT + 25 * HOUR), /Over a day old: due again\.$/);
});

test("none, or one that cannot be dated, claims nothing", () => {
  assert.equal(drillWords(null, AT), "never, as far as is known.");
  assert.equal(drillWords({ ...drill, at: "soon", slowest: null }, AT), "at an unknown time: 3 agents answered.");
});
