import assert from "node:assert/strict";
import { test } from "node:test";
import { doctorCommand, haltCommand, tailCommand } from "../../../http/dashboard/commands.js";

test("a filter becomes a command of options that there are, safely quoted", () => {
  const { command, unsaid } = tailCommand("strategy.* -data.* source:q data.score>=0.8 severity:warning \"it's\"", { url: "http://h:1" });
  assert.equal(command, "orc --url http://h:1 tail --not 'data.*' --source 'q' 'strategy.*'");
  assert.deepEqual(unsaid, ["data.score>=0.8", "severity:warning", "it's"]);
});

test("words of the command line's own form are taken as well", () => {
  assert.deepEqual(tailCommand("--not x --topic 'a b' --where data.n=1 --severity critical --source it"),
    { command: "orc tail --not 'x' --source 'it' 'a b'", unsaid: ["where:data.n=1", "severity:critical"] });
});

test("what the command line cannot do is left out and said", () => {
  assert.deepEqual(tailCommand("source:a source:b"), { command: "orc tail --source 'a'", unsaid: ["source:b"] });
  assert.deepEqual(tailCommand("source:q-*").unsaid, ["source:q-*"]);
});

test("hidden heartbeats are left out, and a topic that looks like an option is none", () => {
  assert.equal(tailCommand("", { heartbeats: false }).command, "orc tail --not 'heartbeat.*'");
  assert.equal(tailCommand("topic:-x").command, "orc tail -- '-x'");
});

test("names and reasons cannot leave their quotes", () => {
  assert.equal(doctorCommand("a'; rm -rf /"), "orc doctor agent 'a'\\''; rm -rf /'");
  assert.equal(doctorCommand("-a"), "orc doctor agent -- '-a'");
  assert.equal(haltCommand("$(x)"), "orc halt --reason '$(x)'");
});
