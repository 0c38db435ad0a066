import assert from "node:assert/strict";
import { test } from "node:test";
import { barWords } from "../../../http/dashboard/announcer.js";
import { dependencyFaults, faultWords, plainWords, unreadable } from "../../../http/dashboard/format.js";
import * as store from "../../../http/dashboard/store.js";

const T0 = Date.parse("2026-01-31T21:08:15.000Z");

test("what servers say becomes what an operator calls it", () => {
  assert.equal(faultWords("Error 111 connecting to 127.0.0.1:6379. Connection refused."), "refuses connections: is it running?");
  assert.equal(faultWords("ConnectionError('Connection closed by server.')"), "closed the connection");
  assert.equal(faultWords("FATAL: password authentication failed for user \"orc\""), "does not accept our user name or password");
  assert.equal(faultWords("OSError: [Errno 28] No space left on device"), "its disk is full");
  assert.equal(faultWords("cannot execute INSERT in a read-only transaction"), "takes no writes: it is read-only now");
});

test("an error of any other kind loses its class, and all but its first line", () => {
  assert.equal(plainWords("ValueError: no ids in hand\nTraceback"), "no ids in hand");
  assert.equal(plainWords("orchestrator.StoreError(\"x is gone\")"), "x is gone");
  assert.equal(plainWords(null), "does not work");
  assert.equal(plainWords("KeyError()"), "does not work");
  assert.ok(plainWords("y".repeat(1000)).length <= 160);
});

test("a dependency that fails says since when, and what that means", () => {
  const state = store.createState();
  assert.deepEqual(dependencyFaults(state, T0), []);
  store.applyReady(state, { checks: { redis: { ok: false, message: "Connection refused" }, postgres: { ok: true }, actors: { ok: false, message: "not running: pruner" } } }, T0);
  assert.deepEqual(dependencyFaults(state, T0 + 12_000), [
    "Bus (Redis) not working for 12 s, since 21:08:15 UTC: refuses connections: is it running? Events and heartbeats do not arrive, so agents cannot be seen.",
    "Daemon not working for 12 s, since 21:08:15 UTC: not running: pruner.",
  ]);
  assert.equal(barWords(state, "live", T0, "h").length, 2);
  assert.equal(barWords({ ...state, link: { ...state.link, phase: "lost", since: T0, retryAt: NaN } }, "lost", T0, "h").length, 1, "of a daemon that is lost nothing is claimed");
});

test("a source that cannot be read says for how long, and as of when it is shown", () => {
  const state = store.createState();
  assert.equal(unreadable(state.sources.agents, T0), "");
  store.applyFailure(state, "agents", "No answer within 8 s.", T0);
  assert.equal(unreadable(state.sources.agents, T0 + 4000), "Not readable for 4 s, since 21:08:15 UTC. No answer within 8 s.");
  store.applyAgents(state, { agents: [] }, T0 + 5000);
  store.applyFailure(state, "agents", "Busy", T0 + 6000);
  assert.equal(unreadable(state.sources.agents, T0 + 7000), "Not readable for 1 s, since 21:08:21 UTC. Busy. Shown as of 21:08:20 UTC.");
});
