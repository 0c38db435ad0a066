/** KillswitchPanel: the state in words, every stop with its release, what each scope may do, who has halted, drills. */

import { objectionTo } from "../api.js";
import { button, copyButton, fact, h, keyed, quiet, setAttr, setBarred, setHidden, setSign, setText, setWords, sign } from "../dom.js";
import { age, moment, parseTime } from "../format.js";
import { haltedWords, lastStop, levelOf, permissions, standings, trading, tripsInForce, tripWords } from "../trading.js";
import { faultLine, fillPanel } from "./acts.js";

/** "anna · 21:08:27 UTC (3 s ago)", as far as the trip says. */
function origin(trip, nowMs) {
  const at = parseTime(trip.at ?? trip.timestamp);
  const when = Number.isFinite(at) ? `${moment(at, nowMs)} (${age(nowMs - at)} ago)` : null;
  return [trip.triggered_by, when].filter(Boolean).join(" · ");
}

function makeTrip(onRelease) {
  let trip = {};
  const shape = sign("halted");
  const [title, reason, from] = [h("strong"), h("p", { class: "trip-reason" }), h("p", { class: "trip-from figure" })];
  const id = h("code", { class: "trip" });
  const release = button("Release this stop…", () => onRelease(trip), { class: "release" });
  const copyId = copyButton("copy trip id", () => String(trip.trip_id));
  const element = h("li", { class: "trip-row" }, h("p", { class: "trip-head" }, shape, title), reason, from,
    h("div", { class: "trip-acts" }, release, h("span", { class: "trip-id" }, id, copyId)));
  return { element, update({ trip: next, barred, nowMs }) {
    trip = next;
    const words = tripWords(trip);
    setAttr(element, "data-level", levelOf(trip));
    setSign(shape, levelOf(trip) === "halt" ? "halted" : "late");
    setText(title, words);
    setText(reason, trip.reason || "no reason given");
    setText(from, origin(trip, nowMs));
    setText(id, trip.trip_id ?? "");
    setHidden(id.parentElement, !trip.trip_id);
    setAttr(release, "aria-label", `Release this stop… ${words}`);
    release.disabled = barred || !trip.trip_id;
  } };
}

/** `render({proven, barred, nowMs})`: `barred` while none may be released. */
export function mountTrips({ state, onRelease }) {
  const known = new Map();
  const title = h("h3", { id: "trips-title" });
  const list = h("ul", { class: "trips", "aria-labelledby": "trips-title" });
  const element = h("div", { class: "trips-box", hidden: true }, title, list);
  return { element, render({ proven, barred, nowMs }) {
    const trips = tripsInForce(state.killswitch).map((trip) => ({ trip, barred, nowMs }));
    setHidden(element, trips.length === 0);
    setText(title, proven ? `In force: ${trips.length}` : `In force when last read: ${trips.length}`);
    keyed(list, known, trips, ({ trip }) => trip.trip_id ?? "", () => makeTrip(onRelease));
  } };
}

const DUE_MS = 24 * 3_600_000;

/** "2 h ago: 3 agents answered, slowest execution-1 in 41 ms; 1 did not answer." `drill`: null if there was none. */
export function drillWords(drill, nowMs) {
  if (!drill) return "never, as far as is known.";
  const at = parseTime(drill.at);
  const when = Number.isFinite(at) ? `${age(nowMs - at)} ago` : "at an unknown time";
  const slowest = typeof drill.slowest === "string" ? `, slowest ${drill.slowest} in ${Math.round(drill.slowest_ms)} ms` : "";
  const missed = drill.missed > 0 ? `; ${drill.missed} did not answer` : "";
  return `${when}: ${drill.answered} ${drill.answered === 1 ? "agent" : "agents"} answered${slowest}${missed}.${nowMs - at > DUE_MS ? " Over a day old: due again." : ""}`;
}

/** `onDrill()` runs one and reads the state again; it rejects with words that can be shown. */
export function mountDrill({ state, onDrill }) {
  const list = h("dl", { class: "facts" });
  const last = fact(list, "Last drill");
  const run = quiet("Drill", start);
  const outcome = h("p", { class: "state-meaning", role: "status", hidden: true });
  let [known, running] = [undefined, false];

  async function start() {
    running = true;
    say("Asking every agent with a gate; none is halted.");
    try {
      await onDrill();
      say("");
    } catch (error) {
      say(error.message);
    }
    running = false;
  }

  const say = (words) => setWords(outcome, words);

  return { element: [list, outcome], button: run, render(nowMs) {
    const k = state.killswitch;
    if (k && "drill" in k) known = k.drill;
    setHidden(list, known === undefined);
    if (known !== undefined) last.set(drillWords(known, nowMs));
    const objection = objectionTo(state.access, "drill");
    setBarred(run, objection, "Asks every agent with a gate to answer; halts none");
    run.disabled ||= running;
  } };
}

/** A titled list of facts, kept in step with `rows`: `[{key, label, words}]`; hidden while it has no title. */
function factsBox() {
  const known = new Map();
  const title = h("h3");
  const list = h("dl", { class: "facts" });
  const element = h("div", { hidden: true }, title, list);
  const make = () => {
    const group = h("div", { class: "fact" });
    const line = fact(group, "");
    return { element: group, update({ key, label, words }) {
      setAttr(group, "data-fact", key);
      setText(group.firstChild, label);
      line.set(words);
    } };
  };
  return { element, render(words, rows) {
    setHidden(element, words === "");
    setText(title, words);
    keyed(list, known, rows, ({ key }) => key, make);
  } };
}

/** What may be done now, only while that is proven; who has halted, as last read. */
function overview(state) {
  const [allowed, agents] = [factsBox(), factsBox()];
  const groupOf = (id) => state.agents.get(id)?.agent_group;
  return { element: [allowed.element, agents.element], render({ proven }) {
    const k = state.killswitch;
    const may = proven ? permissions(k, groupOf) : [];
    allowed.render(may.length ? "What may be done now" : "", may.map(({ scope, permission, who, words }) => ({ key: `${scope} ${permission}`, label: who, words })));
    const halted = tripsInForce(k).length ? haltedWords(k.agents, k.agents_known) : "";
    const rows = halted === "" ? [] : standings(k.agents);
    agents.render(halted && `Agents${proven ? "" : " when last read"}: ${halted}`, rows.map(({ name, label, words }) => ({ key: name, label, words })));
  } };
}

function actions({ state, onStop, drill }) {
  const stop = button("Stop trading…", onStop, { class: "stop-quiet" });
  const why = h("p", { class: "why", hidden: true });
  const element = h("div", { class: "act-box" }, why, h("div", { class: "acts" }, stop, drill.button));
  return { element, render({ open, barredBy }) {
    const objection = objectionTo(state.access, "stop");
    stop.disabled = objection !== null;
    setWords(why, [objection, barredBy].filter(Boolean).join(" "));
    setText(stop, open ? "Stop again…" : "Stop trading…");
    setAttr(stop, "data-again", open);
  } };
}

/** Why no stop may be released now; null if they may. */
function objectionToRelease(access, open, proven) {
  if (!open) return null;
  const blind = proven ? null : "Release waits until the state is known again.";
  return [objectionTo(access, "release"), blind].filter(Boolean).join(" ") || null;
}

export function mountKillswitch(root, { state, onStop, onRelease, onRetry, onDrill }) {
  const shape = sign("unknown");
  const words = h("p", { class: "state-words" }, "Reading state");
  const meaning = h("p", { class: "state-meaning" });
  const aged = h("span", { class: "panel-age" });
  const fault = faultLine(onRetry);
  const before = h("dl", { class: "facts" });
  const last = fact(before, "Last stop");
  const trips = mountTrips({ state, onRelease });
  const more = overview(state);
  const drill = mountDrill({ state, onDrill });
  const act = actions({ state, onStop, drill });
  fillPanel(root, "Killswitch", [aged], h("div", { class: "state" }, shape, h("div", {}, words, meaning)),
    fault.element, trips.element, more.element, before, drill.element, act.element).classList.add("killswitch");

  function showState(now, nowMs) {
    const source = state.sources.killswitch;
    setText(aged, Number.isFinite(source.at) ? `read ${age(nowMs - source.at)} ago` : "");
    fault.show(source, nowMs);
    setAttr(root, "data-kind", now.proven ? now.kind : "unknown");
    setAttr(root, "data-was", now.proven ? null : now.kind);
    setSign(shape, now.sign);
    setText(words, now.words);
    setText(meaning, now.meaning);
  }

  function render(nowMs) {
    const now = trading(state, nowMs);
    const open = tripsInForce(state.killswitch).length > 0;
    const barredBy = objectionToRelease(state.access, open, now.proven);
    showState(now, nowMs);
    trips.render({ proven: now.proven, barred: barredBy !== null, nowMs });
    more.render(now);
    setHidden(before, open || state.killswitch === null);
    if (!before.hidden) last.set(lastStop(state.killswitch, nowMs));
    drill.render(nowMs);
    act.render({ open, barredBy });
  }
  return { render };
}
