/**
 * What panels and dialogs share: head and body, a fault with its way out, a field, a small picture; and acts, whose first press
 * says the effect and whose second does it.
 */

import { objectionTo } from "../api.js";
import { announce, button, h, keyed, quiet, setAttr, setBarred, setHidden, setText, setWords, svg } from "../dom.js";
import { age, unreadable } from "../format.js";
import { areaPath } from "../time_series.js";
import { lastSaid, levelOf, scopeOf, tripsInForce } from "../trading.js";

/** Fill a panel; returns its body. `heads` stand beside the title. */
export function fillPanel(root, title, heads, ...body) {
  const main = h("div", { class: "panel-body", tabindex: 0 }, ...body);
  root.append(h("div", { class: "panel-head" }, h("h2", { id: `${root.id}-title` }, title), ...heads), main);
  return main;
}

export const ageWords = (at, nowMs) => (Number.isFinite(at) ? `as of ${age(nowMs - at)} ago` : "");

/** Why one of `state.sources` cannot be read, with a button that tries again. */
export function faultLine(onRetry) {
  const words = h("span");
  const element = h("p", { class: "fault", hidden: true }, words, " ", quiet("Read again", onRetry));
  return { element, show(source, nowMs) {
    setHidden(element, source.error === null);
    setText(words, unreadable(source, nowMs));
  } };
}

/** `say(words, kind)`: what came of an act; `kind` is "busy", "done", "part" or "failed". Without words it is hidden. */
export function outcomeLine() {
  const element = h("p", { class: "outcome", role: "status", hidden: true });
  return { element, say(words, kind = null) {
    setWords(element, words);
    setAttr(element, "data-kind", kind);
  } };
}

/** A dialog of the page, which it is put into. */
export function makeDialog(id, kind, title, ...children) {
  const element = h("dialog", { id, class: `dialog ${kind}`, "aria-labelledby": `${id}-title` }, h("h2", { id: `${id}-title` }, title), ...children);
  document.body.append(element);
  return element;
}

export const field = (label, input, ...more) => h("div", { class: "field" }, h("label", { for: input.id }, ...[label].flat()), input, ...more);

/** `set(points, nowMs, spanMs)`: `[{ts, value}]` up to now. */
export function spark() {
  const path = svg("path", {});
  return {
    element: svg("svg", { class: "spark", viewBox: "0 0 100 20", preserveAspectRatio: "none", "aria-hidden": "true" }, path),
    set: (points, nowMs, spanMs) => setAttr(path, "d", areaPath(points, nowMs, spanMs)),
  };
}

const RUNS = new Set(["STARTING", "RUNNING", "BACKOFF", "RESTARTING"]);

/** Why an agent cannot resume now; null if it can. Narrower than the daemon's own answer, which counts. */
function objectionToResume(agent, killswitch) {
  if (lastSaid({ killswitch }) === "unknown") return "The state of the stop is not known: agents treat it as stopped.";
  const scopes = ["all", `group:${agent.group}`, `agent:${agent.id}`];
  const held = tripsInForce(killswitch).some((trip) => levelOf(trip) === "halt" && scopes.includes(scopeOf(trip)));
  return held ? "A stop halts it: release that first." : null;
}

const ELSEWHERE = "It is not run by this daemon: start and stop it where it runs.";

/**
 * `[{key, label, effect, objection}]` for an agent. `managed` is its row of `/runtime/agents`: undefined
 * while that is not read, null if this daemon does not run it.
 */
export function agentActs(agent, managed, { access, killswitch }) {
  const role = objectionTo(access, "agents");
  const unread = managed === undefined ? "Reading whether this daemon runs it…" : managed === null ? ELSEWHERE : null;
  const runs = RUNS.has(managed?.state);
  const act = (key, label, effect, objection) => ({ key, label, effect, objection: role ?? objection });
  const gated = agent.gate !== undefined;
  return [
    act("start", "Start", "Its process starts. A gate starts shut, and opens with the next permit.", unread ?? (runs ? "It runs already." : null)),
    act("stop", "Stop", "It ends, and stays stopped until it is started again, also when the daemon restarts. Its open orders are left to it.", unread ?? (runs ? null : "It is stopped already.")),
    act("restart", "Restart", "It ends and starts anew. What it has not published is lost; a gate starts shut.", unread),
    act("resume", "Resume", gated ? "It may act again under the next permit." : "It has no gate, so it is restarted.",
      (gated ? null : unread) ?? objectionToResume(agent, killswitch)),
  ];
}

/** The same for an actor, a node of the supervision tree. */
export function actorActs(node, { access }) {
  const below = Array.isArray(node.children) && node.children.length > 0;
  const effect = `${below ? "It and all actors below it end and start anew" : "It ends and starts anew"}: its mailbox is kept, its work pauses for a moment.`;
  return [{ key: "restart", label: "Restart", effect, objection: objectionTo(access, "actors") }];
}

/** The same for an event. */
export function eventActs(event, { access }) {
  const effect = "It stays stored, but requests for unprocessed events no longer get it. The mark cannot be taken away.";
  return [{ key: "processed", label: "Mark as processed", effect, objection: objectionTo(access, "events") ?? (event.processed ? "It is marked already." : null) }];
}

/** `run(key)` does it and resolves to the words of what came of it. */
export function mountActs(run) {
  const known = new Map();
  let chosen = null;
  let items = [];
  const row = h("div", { class: "acts" });
  const effect = h("span");
  const confirm = button("", perform);
  const cancel = quiet("Cancel", () => choose(null));
  const question = h("div", { class: "question", hidden: true }, effect, h("div", { class: "acts" }, confirm, cancel));
  const { element: outcome, say } = outcomeLine();
  const why = h("p", { class: "why", hidden: true });

  function choose(item) {
    chosen = item;
    setHidden(question, item === null);
    if (item === null) return;
    say("");
    setText(effect, item.effect);
    setText(confirm, `${item.label} now`);
    confirm.focus();
  }

  async function perform() {
    const { key, label } = chosen;
    choose(null);
    say(`${label}: sending…`, "busy");
    try {
      const words = await run(key);
      say(words, "done");
      announce(words);
    } catch (error) {
      say(`${label} did not work. ${error.message}`, "failed");
      announce(`${label} did not work. ${error.message}`);
    }
  }

  function actButton(first) {
    let item = first;
    const element = button(first.label, () => choose(item));
    return { element, update(next) {
      item = next;
      setBarred(element, next.objection, next.effect);
    } };
  }

  return {
    element: h("div", { class: "act-list" }, row, why, question, outcome),
    /** `next`: `[{key, label, effect, objection}]`. */
    render(next) {
      items = next;
      keyed(row, known, items, (item) => item.key, actButton);
      const reasons = [...new Set(items.map((item) => item.objection).filter(Boolean))];
      setWords(why, reasons.map((reason) => `${items.filter((item) => item.objection === reason).map((item) => item.label).join(", ")}: ${reason}`).join("\n"));
      if (chosen && items.find((item) => item.key === chosen.key)?.objection) choose(null);
    },
  };
}
