/** The supervision tree, and one actor of it: state, mailbox, what happened to it, and its restart. */

import { actorActs, ageWords, faultLine, fillPanel, mountActs, spark } from "./acts.js";
import { button, fact, h, keyed, makeTable, quiet, setAttr, setHidden, setSign, setText, sign } from "../dom.js";
import { age, compact, count, perSecond, plainWords, plural } from "../format.js";
import { flatten } from "../system.js";

function find(node, name) {
  if (!node || node.name === name) return node ?? null;
  for (const child of node.children ?? []) {
    const found = find(child, name);
    if (found) return found;
  }
  return null;
}

/** `onActed()`: read the tree again. */
export function actorDetails(name, { state, api, onActed }) {
  const list = h("dl", { class: "facts" });
  const facts = Object.fromEntries(["State", "Kind", "Waiting", "Done", "Restarts", "Up", "Last failure"].map((label) => [label, fact(list, label)]));
  const gone = h("p", { class: "empty", hidden: true }, "The tree has no such actor any more.");
  const acts = mountActs(async () => {
    const before = find(state.actors, name)?.restarts;
    const { actor } = await api.restartActor(name);
    onActed();
    const word = String(actor.state).toLowerCase();
    const again = word === "running" && actor.restarts > before;
    return again ? `${name} is running again, up for ${age(actor.uptime_seconds * 1000)}.` : `${name} is ${word}: its restart goes on.`;
  });

  function render() {
    const node = find(state.actors, name);
    setHidden(gone, node !== null);
    setHidden(list, node === null);
    setHidden(acts.element, node === null);
    if (node === null) return;
    facts.State.set(String(node.state).toLowerCase());
    facts.Kind.set(String(node.kind));
    facts.Waiting.set(`${count(node.mailbox?.depth)} of ${count(node.mailbox?.capacity)}`);
    facts.Done.set(count(node.processed));
    facts.Restarts.set(count(node.restarts));
    facts.Up.set(age(node.uptime_seconds * 1000));
    facts["Last failure"].set(node.last_error ? plainWords(node.last_error) : "", !node.last_error);
    acts.render(actorActs(node, state));
  }
  return { elements: [gone, list, acts.element], render, close() {} };
}

/** Supervisor states (runtime words, any case) to signs. */
const SIGNS = {
  running: "up", started: "up", alive: "up", starting: "late", restarting: "late", backoff: "late", stopping: "late",
  stopped: "halted", exited: "down", failed: "down", fatal: "error", dead: "down",
};
const BUSY = 0.5;

function row(onSelect) {
  const shape = sign("unknown");
  const name = button("", () => onSelect(name.textContent), { class: "actor-name", title: "Show it, and restart it" });
  const word = h("span", { class: "actor-state" });
  const box = h("td", { class: "number" });
  const done = h("td", { class: "number" });
  const restarts = h("td", { class: "number" });
  const up = h("td", { class: "number" });
  const rate = h("td", { class: "number extra" });
  const picture = spark();
  const error = h("span", { class: "actor-error" });
  const first = h("th", { scope: "row" }, h("span", { class: "actor" }, shape, name, word), error);
  const element = h("tr", {}, first, box, done, restarts, up, rate, h("td", { class: "extra" }, picture.element));
  return {
    element,
    update({ node, depth, series, nowMs }) {
      const state = String(node.state ?? "unknown").toLowerCase();
      const kind = SIGNS[state] ?? "unknown";
      setSign(shape, kind);
      setAttr(element, "data-kind", kind);
      setAttr(element, "data-depth", Math.min(depth, 4));
      setText(name, node.name);
      setText(word, kind === "up" ? "" : state);
      const depthOfBox = Number(node.mailbox?.depth);
      const room = Number(node.mailbox?.capacity);
      setText(box, Number.isFinite(depthOfBox) ? compact(depthOfBox) : "–");
      setAttr(box, "title", Number.isFinite(room) ? `${depthOfBox} of ${room} waiting` : null);
      setAttr(box, "data-busy", depthOfBox > room * BUSY);
      setText(done, Number.isFinite(node.processed) ? compact(node.processed) : "–");
      setText(restarts, Number.isFinite(node.restarts) ? node.restarts : "–");
      setAttr(restarts, "data-some", node.restarts > 0);
      setText(up, Number.isFinite(node.uptime_seconds) ? age(node.uptime_seconds * 1000) : "–");
      if (series) {
        setText(rate, perSecond(series.rate(`done ${node.name}`)));
        picture.set(series.points(`waiting ${node.name}`), nowMs, series.spanMs(nowMs));
      }
      setHidden(error, !node.last_error);
      setText(error, node.last_error ? `last failure: ${plainWords(node.last_error)}` : "");
    },
  };
}

export function mountSupervision(root, { state, onRetry, onSelect, onSystem }) {
  const known = new Map();
  const note = h("span", { class: "panel-note" });
  const aged = h("span", { class: "panel-age" });
  const heads = [["Actor"], ["Waiting", "number"], ["Done", "number"], ["Restarts", "number"], ["Up", "number"], ["Per second", "number extra"], ["Waiting over time", "extra"]];
  const { element: table, body } = makeTable("actors", "Actors under supervision", heads);
  const empty = h("p", { class: "empty", hidden: true });
  const fault = faultLine(onRetry);
  const system = quiet("System", onSystem, { class: "quiet to-system", title: "Store, journal, loop, pool, sockets, dead letters and books" });
  fillPanel(root, "Supervision", [note, aged, system], fault.element, table, empty);

  function render(nowMs) {
    const { at, error } = state.sources.actors;
    const rows = flatten(state.actors);
    const series = state.place === "system" ? state.series : null;
    keyed(body, known, rows.map((r) => ({ ...r, series, nowMs })), (r) => r.key, () => row(onSelect));
    const restarts = rows.reduce((sum, r) => sum + (Number(r.node.restarts) || 0), 0);
    setText(note, rows.length ? `${plural(rows.length, "actor")}, ${restarts === 0 ? "no restarts" : plural(restarts, "restart")}` : "");
    setText(aged, ageWords(at, nowMs));
    setHidden(table, rows.length === 0);
    setHidden(empty, rows.length > 0 || error !== null);
    setText(empty, Number.isFinite(at) ? "The daemon reports no actors." : "Reading the tree…");
    fault.show(state.sources.actors, nowMs);
  }
  return { render };
}
