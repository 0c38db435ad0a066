import assert from "node:assert/strict";
import { test } from "node:test";
import { actorActs, agentActs, eventActs } from "../../../http/dashboard/panels/acts.js";

const access = (role) => ({ role, name: null, hasToken: true });
const inactive = { status: "inactive", trips: [] };
const barred = (agent, managed, { role = "operator", killswitch = inactive } = {}) =>
  Object.fromEntries(agentActs(agent, managed, { access: access(role), killswitch }).map(({ key, objection }) => [key, objection]));
const AGENT = { id: "a", group: "g" };

test("a running agent is not started, a stopped one not stopped", () => {
  const running = barred(AGENT, { state: "RUNNING" });
  assert.match(running.start, /runs already/);
  assert.deepEqual([running.stop, running.restart, running.resume], [null, null, null]);
  const stopped = barred(AGENT, { state: "STOPPED" });
  assert.match(stopped.stop, /stopped already/);
  assert.equal(stopped.start, null);
});

test("what this daemon does not run it does not command, but for a gate that may resume", () => {
  const plain = barred(AGENT, null);
  assert.match(plain.start, /not run by this daemon/);
  assert.match(plain.resume, /not run by this daemon/);
  assert.equal(barred({ ...AGENT, gate: "shut" }, null).resume, null);
  assert.match(barred(AGENT, undefined).stop, /Reading whether/);
});

test("an agent that a stop halts does not resume", () => {
  const resume = (scope, level = "halt") => barred({ ...AGENT, gate: "shut" }, null, { killswitch: { status: "active", trips: [{ trip_id: "t", scope, level }] } }).resume;
  for (const scope of ["all", "group:g", "agent:a"]) assert.match(resume(scope), /release that first/);
  assert.deepEqual([resume("group:other"), resume("all", "reduce")], [null, null]);
  assert.match(barred({ ...AGENT, gate: "shut" }, null, { killswitch: { status: "unknown" } }).resume, /not known/);
});

test("a role that may not act is the reason before all others", () => {
  for (const objection of Object.values(barred(AGENT, null, { role: "tripper" }))) assert.match(objection, /needs the role operator/);
  assert.match(actorActs({ name: "x" }, { access: access("viewer") })[0].objection, /may not restart actors/);
});

test("the effect of restarting an actor says what is below it", () => {
  const effect = (children) => actorActs({ name: "x", children }, { access: access("operator") })[0].effect;
  assert.match(effect([{ name: "y" }]), /all actors below it/);
  assert.match(effect([]), /^It ends and starts anew: its mailbox is kept/);
});

test("an event is marked by an operator, and once", () => {
  const mark = (role, processed) => eventActs({ processed }, { access: { role } })[0];
  assert.match(mark("viewer", false).objection, /viewer may not write or mark events: that needs the role operator/);
  assert.deepEqual([mark("operator", null).objection, mark("operator", false).objection], [null, null]);
  assert.equal(mark("operator", true).objection, "It is marked already.");
  assert.match(mark("operator", false).effect, /stays stored.*cannot be taken away/);
});
