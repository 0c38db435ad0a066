/** KillswitchPanel: the state in words, what it means, who and why; the ways to stop and to release. */

import { objectionTo } from "../access.js";
import { copyButton, fact, h, setAttr, setHidden, setSign, setText, sign } from "../dom.js";
import { unreadable } from "../faults.js";
import { age, clip, moment, parseTime, plural } from "../format.js";
import { scopeWords, trading, tripsInForce } from "../trading.js";

const text = (value) => (value === null || value === undefined || value === "" ? "–" : String(value));

function time(iso, nowMs) {
  const at = parseTime(iso);
  return Number.isFinite(at) ? `${moment(at, nowMs)} (${age(nowMs - at)} ago)` : "–";
}

/** What is known of the acknowledgements, or null while no agent gives any. */
export function acknowledgements(agents) {
  const ids = (name) => (Array.isArray(agents?.[name]) ? agents[name] : []);
  const done = new Set([...ids("acknowledged"), ...ids("quiet")]).size;
  const [quiet, pending, gone, ungated] = ["quiet", "pending", "unreachable", "without_gate"].map(ids);
  const all = done + pending.length + gone.length;
  if (all + ungated.length === 0) return null;
  const parts = all ? [`${done} of ${plural(all, "agent")} halted`] : [];
  if (quiet.length) parts.push(`${quiet.length} without open orders`);
  if (pending.length) parts.push(`waiting for ${pending.join(", ")}`);
  if (gone.length) parts.push(`not reachable: ${gone.join(", ")}`);
  if (ungated.length) parts.push(`without a gate: ${ungated.join(", ")}`);
  return parts.join("; ");
}

function buildFacts() {
  const list = h("dl", { class: "facts" });
  const facts = {
    why: fact(list, "Why"), who: fact(list, "Who"), when: fact(list, "When"),
    scope: fact(list, "For"), trip: fact(list, "Trip"), acks: fact(list, "Agents"), last: fact(list, "Last stop"),
  };
  return { list, facts };
}

function showFacts(facts, k, nowMs) {
  const trips = tripsInForce(k);
  const open = trips.length > 0;
  const newest = trips.at(-1) ?? {};
  const more = trips.length > 1 ? `, and ${plural(trips.length - 1, "more stop")} in force` : "";
  const scopes = [...new Set(trips.map((trip) => scopeWords(String(trip.scope ?? "all"))))];
  facts.why.set(text(newest.reason ?? k.reason), !open);
  facts.who.set(text(newest.triggered_by ?? k.triggered_by), !open);
  facts.when.set(time(newest.at ?? newest.timestamp ?? k.last_triggered, nowMs), !open);
  facts.scope.set(scopes.join(", "), !open);
  facts.trip.set(`${text(newest.trip_id ?? k.trip_id)}${more}`, !open);
  const said = acknowledgements(k.agents);
  facts.acks.set(said ?? "", !open || said === null);
  const before = k.last_triggered ? `${time(k.last_triggered, nowMs)}${k.reason ? `: ${clip(String(k.reason), 160)}` : ""}` : "none on record";
  facts.last.set(before, open);
}

function actions({ state, onStop, onRelease }) {
  const stop = h("button", { type: "button", class: "stop-quiet", on: { click: onStop } }, "Stop trading…");
  const release = h("button", { type: "button", class: "release", on: { click: onRelease } }, "Release this stop…");
  const copyTrip = copyButton("copy trip id", () => String(state.killswitch?.trip_id ?? ""));
  const why = h("p", { class: "why", hidden: true });
  const element = h("div", { class: "act-box" }, why, h("div", { class: "acts" }, stop, release, copyTrip));
  return { element, render(now) {
    const open = tripsInForce(state.killswitch).length > 0;
    const maySign = [objectionTo(state.access, "stop"), open ? objectionTo(state.access, "release") : null];
    const blind = open && !now.proven ? "Release waits until the state is known again." : null;
    stop.disabled = maySign[0] !== null;
    release.disabled = maySign[1] !== null || blind !== null;
    const reasons = [...maySign, blind].filter(Boolean).join(" ");
    setText(why, reasons);
    setHidden(why, reasons === "");
    setHidden(release, !open && !(state.killswitch?.status === "unknown" && state.killswitch.trip_id));
    setHidden(copyTrip, !(open && state.killswitch?.trip_id));
    setText(stop, open ? "Stop again…" : "Stop trading…");
    setAttr(stop, "data-again", open);
  } };
}

export function mountKillswitch(root, { state, onStop, onRelease, onRetry }) {
  const shape = sign("unknown");
  const words = h("p", { class: "state-words" }, "Reading state");
  const meaning = h("p", { class: "state-meaning" });
  const { list, facts } = buildFacts();
  const aged = h("span", { class: "panel-age" });
  const retry = h("button", { type: "button", class: "quiet", on: { click: onRetry } }, "Read again");
  const fault = h("p", { class: "fault", hidden: true }, h("span"), " ", retry);
  const act = actions({ state, onStop, onRelease });
  root.append(
    h("div", { class: "panel-head" }, h("h2", { id: "killswitch-title" }, "Killswitch"), aged),
    h("div", { class: "panel-body killswitch", tabindex: 0 },
      h("div", { class: "state" }, shape, h("div", {}, words, meaning)),
      fault, list, act.element),
  );

  function render(nowMs) {
    const source = state.sources.killswitch;
    const now = trading(state, nowMs);
    setText(aged, Number.isFinite(source.at) ? `read ${age(nowMs - source.at)} ago` : "");
    setHidden(fault, source.error === null);
    setText(fault.firstChild, unreadable(source, nowMs));
    setAttr(root, "data-kind", now.proven ? now.kind : "unknown");
    setAttr(root, "data-was", now.proven ? null : now.kind);
    setSign(shape, now.sign);
    setText(words, now.words);
    setText(meaning, now.meaning);
    setHidden(list, state.killswitch === null);
    if (state.killswitch !== null) showFacts(facts, state.killswitch, nowMs);
    act.render(now);
  }
  return { render };
}
