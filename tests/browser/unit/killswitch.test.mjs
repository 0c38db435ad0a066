/* The stop's panel and dialogs: what each scope may do, who has halted, what a release leaves. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { effectWords, releasedWords } from "../../../http/dashboard/panels/release_dialog.js";
import { effectOf, knownScopes, resultWords } from "../../../http/dashboard/panels/stop_dialog.js";
import { haltedWords, permissions, standings, underStop } from "../../../http/dashboard/trading.js";
import * as store from "../../../http/dashboard/store.js";

const trip = (more) => ({ trip_id: "t", level: "halt", scope: "all", reason: "fat finger", triggered_by: "anna", at: "2026-01-31T21:08:27.000Z", ...more });
const active = (...trips) => ({ status: "active", trips });
const GROUPS = { "signals-1": "signals", "dev-1": "development" };
const allowed = (killswitch) => permissions(killswitch, (id) => GROUPS[id]).map(({ who, permission }) => [who, permission]);

test("a stop for all is one line, and what it covers is not repeated", () => {
  assert.deepEqual(allowed(active(trip(), trip({ scope: "group:signals", level: "reduce" }), trip({ scope: "agent:dev-1" }))), [["all agents", "halt"]]);
  assert.deepEqual(allowed(active(trip({ level: "reduce" }))), [["all agents", "reduce"]]);
});

test("each scope has the strictest of the stops that concern it, all others the rest", () => {
  assert.deepEqual(allowed(active(trip({ scope: "group:signals" }), trip({ scope: "agent:dev-1", level: "reduce" }))),
    [["group signals", "halt"], ["agent dev-1", "reduce"], ["all others", "allowed"]]);
  assert.deepEqual(allowed(active(trip({ level: "reduce" }), trip({ scope: "agent:dev-1" }))), [["agent dev-1", "halt"], ["all others", "reduce"]]);
});

test("an agent is under the stops that concern it, of either level; unknown is not none", () => {
  const agent = { id: "signals-1", agent_group: "signals" };
  const under = (killswitch) => underStop(killswitch, agent);
  assert.deepEqual([trip(), trip({ level: "reduce" }), trip({ scope: "group:signals" }), trip({ scope: "agent:signals-1" })].map((one) => under(active(one))), ["held", "held", "held", "held"]);
  assert.deepEqual([under(active(trip({ scope: "group:development" }))), under({ status: "inactive" })], [null, null]);
  assert.deepEqual([under(null), under({ status: "unknown" }), under({ status: "unknown", trips: [trip()] })], ["open", "open", "held"]);
});

test("a stop of its group holds an agent, and of any group while its own is not known", () => {
  const under = (id) => allowed(active(trip({ scope: "group:signals" }), trip({ scope: `agent:${id}`, level: "reduce" })))[1];
  assert.deepEqual(under("signals-1"), ["agent signals-1", "halt"]);
  assert.deepEqual(under("dev-1"), ["agent dev-1", "reduce"]);
  assert.deepEqual(under("stranger"), ["agent stranger", "halt"]);
});

test("an unknown state allows nothing, whatever stops are listed; none in force needs no lines", () => {
  assert.deepEqual(allowed({ status: "unknown", trips: [trip({ scope: "group:signals" })] }), [["all agents", "unknown"]]);
  assert.match(permissions({ status: "unknown" })[0].words, /treat it as halt/);
  assert.deepEqual(allowed({ status: "inactive", trips: [] }), []);
  assert.deepEqual(allowed(null), []);
});

test("every agent stands in one line, the worst first", () => {
  const agents = { acknowledged: ["a", "b"], quiet: ["b"], pending: ["c"], unreachable: ["d"], without_gate: ["e"] };
  assert.deepEqual(standings(agents).map(({ label, words }) => `${label} ${words.split(" ")[0]}`), ["Pending c", "Unreachable d", "Without a gate e", "Halted a", "Quiet b"]);
  assert.equal(haltedWords(agents), "2 of 4 agents halted");
  assert.equal(haltedWords(agents, false), "2 halted so far, not known yet who else must");
  const many = standings({ pending: Array.from({ length: 25 }, (_, i) => `a${i}`) });
  assert.match(many[0].words, /a19 and 5 more \(/);
});

test("nothing is said of agents until the daemon has said it", () => {
  assert.deepEqual([standings(undefined), haltedWords(undefined), haltedWords(null)], [[], "", ""]);
  assert.equal(haltedWords({ acknowledged: [], pending: [], without_gate: ["e"] }), "no agent is known that would acknowledge");
});

test("a release says before what stays in force", () => {
  const two = active(trip({ trip_id: "a" }), trip({ trip_id: "b", scope: "group:signals", level: "reduce", reason: "slow quotes" }));
  assert.equal(effectWords(two, "a"), "Only this stop ends. What stays in force: reduce for group signals (“slow quotes”).");
  assert.match(effectWords(active(trip({ trip_id: "a" })), "a"), /^No other stop is in force/);
  assert.doesNotMatch(effectWords({ status: "unknown", trips: [trip({ trip_id: "a" })] }, "a"), /may trade/);
  const seven = active(...Array.from({ length: 7 }, (_, i) => trip({ trip_id: `t${i}` })));
  assert.match(effectWords(seven, "t0"), /and 1 more\.$/);
});

test("a release says after what stays in force, by its answer, and claims no more", () => {
  assert.equal(releasedWords(active(trip())), "Released. Still in force: halt for all agents (“fat finger”).");
  assert.match(releasedWords({ status: "inactive", trips: [] }), /trading is allowed/);
  assert.match(releasedWords({ status: "unknown", trips: [], trip_id: null, message: "Treat this as active: the latch." }), /not known: agents treat it as stopped\. Treat this as active: the latch\.$/);
});

test("a stop says what it is for, before by what was chosen and after by the answer", () => {
  assert.match(effectOf({ level: "halt", scope: "all" }), /^halt for all agents\. Those with a gate send no more orders;.*nothing is sold\.$/);
  assert.match(effectOf({ level: "reduce", scope: "group:signals" }), /^reduce for group signals\. No new positions;/);
  const answer = { latched: true, persisted: false, published_to: 3, level: "halt", scope: "all", already_active: false };
  assert.equal(resultWords(answer, 12), "Trading is stopped, on disk, not yet in the database, reached 3 on the bus (12 ms).");
  assert.match(resultWords({ ...answer, scope: "agent:dev-1", already_active: true }, 12), /^In force: halt for agent dev-1; a stop was in force already and stays/);
});

test("scopes are chosen from those that are known", () => {
  const rows = [{ id: "b", agent_group: "x" }, { id: "a", agent_group: "x" }, { id: "c" }];
  assert.deepEqual(knownScopes(new Map(rows.map((row) => [row.id, row]))), { groups: [["group:x", "x"]], agents: [["agent:a", "a"], ["agent:b", "b"], ["agent:c", "c"]] });
});

test("receipts for earlier stops are none for a new one, and a release settles no unknown state", () => {
  const state = store.createState();
  const frame = (type, data) => store.applyFrame(state, { type, data, timestamp: "2026-01-31T21:08:30.000Z" }, Date.parse("2026-01-31T21:08:30.000Z"));
  store.applyKillswitch(state, { ...active(trip()), complete: true, agents: { acknowledged: ["a"] } }, 1);
  frame("killswitch_activated", { ...trip({ trip_id: "u" }), enabled: true });
  assert.deepEqual([haltedWords(state.killswitch.agents), state.killswitch.complete, state.killswitch.trips.length], ["", null, 2]);
  store.applyKillswitch(state, { status: "unknown", trips: [trip()], timestamp: "2026-01-31T21:08:31.000Z" }, Date.parse("2026-01-31T21:08:31.000Z"));
  frame("killswitch_released", { enabled: false, released: { trip_id: "t" }, trips: [] });
  assert.deepEqual([state.killswitch.status, state.killswitch.enabled], ["unknown", true]);
});
