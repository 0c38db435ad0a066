/** KillswitchPanel: the state in words, what it means, who and why; the ways to stop and to release. */

import { copyButton, h, setAttr, setHidden, setSign, setText, sign } from "../dom.js";
import { age, moment, parseTime, plural } from "../format.js";
import { tradingState } from "../store.js";

const WORDS = {
  allowed: ["up", "Trading allowed", "No stop is in force. Agents may open and close positions."],
  stopped: ["halted", "Trading stopped", "New orders stop. Open orders are left to each agent's policy. Nothing is sold."],
  reduce: ["late", "Reduce only", "No new positions. Agents may only make open ones smaller."],
  unknown: ["unknown", "State unknown", "The daemon cannot read its own record of the stop. Agents treat this as stopped."],
};

const text = (value) => (value === null || value === undefined || value === "" ? "–" : String(value));

function fact(list, label) {
  const value = h("dd", { class: "figure" });
  const term = h("dt", {}, label);
  list.append(term, value);
  return {
    value,
    set(words, hidden = false) {
      setText(value, words);
      setHidden(term, hidden);
      setHidden(value, hidden);
    },
  };
}

function time(iso, nowMs) {
  const at = parseTime(iso);
  return Number.isFinite(at) ? `${moment(at, nowMs)} (${age(nowMs - at)} ago)` : "–";
}

/** What is known of the acknowledgements, or null while no agent gives any. */
function acknowledgements(agents) {
  const length = (name) => (Array.isArray(agents?.[name]) ? agents[name].length : 0);
  const [done, pending, gone] = ["acknowledged", "pending", "unreachable"].map(length);
  if (done + pending + gone === 0) return null;
  const parts = [`${done} of ${plural(done + pending + gone, "agent")} halted`];
  if (pending) parts.push(`waiting for ${agents.pending.join(", ")}`);
  if (gone) parts.push(`not reachable: ${agents.unreachable.join(", ")}`);
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

function showFacts(facts, k, kind, nowMs) {
  const open = kind === "stopped" || kind === "reduce";
  const trips = (Array.isArray(k.trips) ? k.trips : []).filter((t) => t && typeof t === "object" && !t.released_at);
  const scopes = [...new Set(trips.map((t) => t.scope).filter(Boolean))];
  facts.why.set(text(k.reason), !open);
  facts.who.set(text(k.triggered_by), !open);
  facts.when.set(time(k.last_triggered, nowMs), !open);
  facts.scope.set(scopes.length ? scopes.map((s) => (s === "all" ? "all agents" : s)).join(", ") : "all agents", !open);
  facts.trip.set(trips.length > 1 ? `${text(k.trip_id)} and ${trips.length - 1} more` : text(k.trip_id), !open);
  const said = acknowledgements(k.agents);
  facts.acks.set(said ?? "", !open || said === null);
  const before = !open && k.last_triggered;
  facts.last.set(before ? `${time(k.last_triggered, nowMs)}${k.reason ? `: ${k.reason}` : ""}` : "none on record", open);
}

export function mountKillswitch(root, { state, onStop, onRelease, onRetry }) {
  const shape = sign("unknown");
  const words = h("p", { class: "state-words" }, "Reading state");
  const meaning = h("p", { class: "state-meaning" });
  const { list, facts } = buildFacts();
  const aged = h("span", { class: "panel-age" });
  const stop = h("button", { type: "button", class: "stop-quiet", on: { click: onStop } }, "Stop trading…");
  const release = h("button", { type: "button", class: "release", on: { click: onRelease } }, "Release this stop…");
  const copyTrip = copyButton("copy trip id", () => String(state.killswitch?.trip_id ?? ""));
  const retry = h("button", { type: "button", class: "quiet", on: { click: onRetry } }, "Read again");
  const fault = h("p", { class: "fault", hidden: true }, h("span"), " ", retry);
  root.append(
    h("div", { class: "panel-head" }, h("h2", { id: "killswitch-title" }, "Killswitch"), aged),
    h("div", { class: "panel-body killswitch", tabindex: 0 },
      h("div", { class: "state" }, shape, h("div", {}, words, meaning)),
      fault, list, h("div", { class: "acts" }, stop, release, copyTrip)),
  );

  function render(nowMs) {
    const { at, error } = state.sources.killswitch;
    const k = state.killswitch;
    setText(aged, Number.isFinite(at) ? `read ${age(nowMs - at)} ago` : "");
    setHidden(fault, error === null);
    if (error) setText(fault.firstChild, `Not readable: ${error}`);
    if (k === null) {
      setText(words, error ? "State not readable" : "Reading state");
      setText(meaning, "The stop below works all the same.");
    }
    const kind = tradingState(state);
    setAttr(root, "data-kind", k === null ? "unknown" : kind);
    setHidden(list, k === null);
    const open = kind === "stopped" || kind === "reduce";
    setHidden(release, !open && k?.status !== "unknown");
    setHidden(copyTrip, !(open && k?.trip_id));
    setText(stop, open ? "Stop again…" : "Stop trading…");
    setAttr(stop, "data-again", open);
    if (k === null) return;
    const [kindOfSign, say, means] = WORDS[kind];
    setSign(shape, kindOfSign);
    setText(words, say);
    setText(meaning, k.complete === false ? `${means} Not every agent has halted yet.` : means);
    showFacts(facts, k, kind, nowMs);
  }
  return { render };
}
