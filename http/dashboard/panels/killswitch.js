/** KillswitchPanel: the state in words, every stop with its release, what each scope may do, who has halted. */

import { objectionTo } from "../access.js";
import { fact, h, keyed, setAttr, setHidden, setSign, setText, sign } from "../dom.js";
import { unreadable } from "../faults.js";
import { age, clip, moment, parseTime } from "../format.js";
import { haltedWords, permissions, standings } from "../permissions.js";
import { trading, tripsInForce } from "../trading.js";
import { mountDrill } from "./drill.js";
import { mountTrips } from "./trips.js";

/** "31 Jan 21:08:27 UTC (1 h ago): prices look wrong", of a stop that is over. */
function lastStop(k, nowMs) {
  const at = parseTime(k.last_triggered);
  if (!Number.isFinite(at)) return "none on record";
  return `${moment(at, nowMs)} (${age(nowMs - at)} ago)${k.reason ? `: ${clip(String(k.reason), 160)}` : ""}`;
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
    const halted = tripsInForce(k).length ? haltedWords(k.agents) : "";
    const rows = halted === "" ? [] : standings(k.agents);
    agents.render(halted && `Agents${proven ? "" : " when last read"}: ${halted}`, rows.map(({ name, label, words }) => ({ key: name, label, words })));
  } };
}

function actions({ state, onStop, drill }) {
  const stop = h("button", { type: "button", class: "stop-quiet", on: { click: onStop } }, "Stop trading…");
  const why = h("p", { class: "why", hidden: true });
  const element = h("div", { class: "act-box" }, why, h("div", { class: "acts" }, stop, drill.button));
  return { element, render({ open, barredBy }) {
    const objection = objectionTo(state.access, "stop");
    const reasons = [objection, barredBy].filter(Boolean).join(" ");
    stop.disabled = objection !== null;
    setText(why, reasons);
    setHidden(why, reasons === "");
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
  const retry = h("button", { type: "button", class: "quiet", on: { click: onRetry } }, "Read again");
  const fault = h("p", { class: "fault", hidden: true }, h("span"), " ", retry);
  const before = h("dl", { class: "facts" });
  const last = fact(before, "Last stop");
  const trips = mountTrips({ state, onRelease });
  const more = overview(state);
  const drill = mountDrill({ state, onDrill });
  const act = actions({ state, onStop, drill });
  root.append(
    h("div", { class: "panel-head" }, h("h2", { id: "killswitch-title" }, "Killswitch"), aged),
    h("div", { class: "panel-body killswitch", tabindex: 0 },
      h("div", { class: "state" }, shape, h("div", {}, words, meaning)),
      fault, trips.element, more.element, before, drill.element, act.element),
  );

  function showState(now, nowMs) {
    const source = state.sources.killswitch;
    setText(aged, Number.isFinite(source.at) ? `read ${age(nowMs - source.at)} ago` : "");
    setHidden(fault, source.error === null);
    setText(fault.firstChild, unreadable(source, nowMs));
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
