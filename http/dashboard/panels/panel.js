/** What panels and dialogs share: head and body, a fault with its way out, a field, the line that says what came of it, a small picture. */

import { h, quiet, setAttr, setHidden, setText, setWords, svg } from "../dom.js";
import { unreadable } from "../faults.js";
import { age } from "../format.js";
import { areaPath } from "../series.js";

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
