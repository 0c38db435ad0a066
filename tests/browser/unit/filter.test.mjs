import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { compileFilter, glob } from "../../../http/dashboard/filter.js";

const event = { type: "strategy.candidate", channel: "strategy.candidate", source: "dev-agent", severity: "info", preview: "", payload: { symbol: "AAPL", score: 0.91, note: "fat finger", nested: { deep: 3 } } };
const beat = { type: "heartbeat", channel: "heartbeat.dev-agent", source: "dev-agent", severity: "info", preview: "", payload: {} };
const alarm = { type: "risk.killswitch", channel: "risk.killswitch", source: null, severity: "critical", preview: "STOP", payload: undefined };
const matches = (text, one = event) => compileFilter(text).test(one);

test("a pattern's star is any run of characters, and nothing else is special", () => {
  assert.ok(glob("data.*.1m")("data.market.AAPL.1m"));
  assert.ok(!glob("data.market")("dataxmarket"));
  assert.ok(glob("a(b)+*")("a(b)+ c"));
});

const cpuMs = (work) => {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
};

test("patterns match as in the daemon, and none takes long", () => {
  const cases = JSON.parse(readFileSync(new URL("../../protocol/patterns.json", import.meta.url), "utf8"));
  let found = [];
  const tookMs = cpuMs(() => { found = cases.map(({ pattern, name }) => glob(pattern)(name)); });
  assert.deepEqual(found, cases.map((one) => one.matches));
  assert.ok(tookMs < 50, `${tookMs} ms of processor time`);
});

test("an empty filter lets all through", () => {
  assert.ok(compileFilter("  ").empty);
  assert.ok(matches(""));
});

test("of several topics one must match", () => {
  assert.ok(matches("risk.* strategy.*"));
  assert.ok(matches("--topic strategy.candidate"));
  assert.ok(!matches("risk.*"));
  assert.ok(matches("heartbeat.dev-agent", beat));
});

test("what is left out stays out", () => {
  assert.ok(!matches("-strategy.*"));
  assert.ok(!matches("--not strategy.*"));
  assert.ok(!matches("!strategy.*"));
  assert.ok(matches("-data.market.*"));
});

test("sources may be patterns", () => {
  assert.ok(matches("source:dev-*"));
  assert.ok(!matches("--source quotes-1"));
  assert.ok(!matches("source:dev-agent", alarm));
});

test("fields of the payload are compared as numbers where both are", () => {
  for (const text of ["data.score>=0.8", "data.score>0.9", "data.score<1", "data.score<=0.91", "data.score!=1", "data.symbol=AAPL", "data.symbol==\"AAPL\"", "data.nested.deep=3", "--where data.score>0.5"]) assert.ok(matches(text), text);
  for (const text of ["data.score>0.95", "data.symbol=NVDA", "data.nope=1", "data.symbol.x=1", "data.symbol>3", "data.toString=1"]) assert.ok(!matches(text), text);
});

test("severity means this and above", () => {
  assert.ok(!matches("severity:warning"));
  assert.ok(matches("severity:warning", alarm));
  assert.ok(matches("severity:nonsense"));
});

test("a text is looked for in topic, source and payload", () => {
  assert.ok(matches("\"fat finger\""));
  assert.ok(matches("AAPL"));
  assert.ok(matches("stop", alarm));
  assert.ok(!matches("nothing"));
});

test("a fault is said, and the rest of the filter still works", () => {
  const filter = compileFilter("strategy.* --where nonsense");
  assert.match(filter.faults[0], /nonsense/);
  assert.ok(filter.test(event));
  assert.deepEqual(compileFilter("--source").faults, ["the last word needs a value"]);
});

test("asking for heartbeats is noticed", () => {
  assert.ok(compileFilter("heartbeat.*").wantsHeartbeats);
  assert.ok(!compileFilter("strategy.*").wantsHeartbeats);
});

test("slips are said, not ignored", () => {
  const faults = (text) => compileFilter(text).faults.join("; ");
  assert.match(faults("severity:warnin"), /no severity “warnin”, did you mean “warning”\?/);
  assert.match(faults("severity:loud"), /no severity “loud”: info, warning, critical/);
  assert.match(faults("sevrity:warning"), /did you mean “severity:”/);
  assert.match(faults("source:"), /“source:”: it needs a value/);
  assert.match(faults("--sorce x"), /did you mean “source:”/);
  assert.match(faults("agent:exec.1"), /write topic:/);
  assert.match(faults("data.score=>3"), /write data\.field>=value/);
  assert.match(faults("data.score~3"), /write data\.field>=value/);
  assert.equal(faults("severity:WARNING fat strategy.* http: data.x=1 \"source:\"").replace(/cannot read “http:”.*/, ""), "");
});
