/** A payload as a tree that opens where it is clicked. Branches are built when opened, and in lots. */

import { h } from "./dom.js";

/** Children shown at once; the rest behind a button. */
const LOT = 100;
const OPEN_DEPTH = 2;
/** A text longer than this is cut, with a button for the rest. */
const LONG_TEXT = 600;

const isBranch = (value) => value !== null && typeof value === "object";

function leaf(value) {
  const kind = value === null ? "null" : typeof value;
  const words = typeof value === "string" ? JSON.stringify(value) : String(value);
  if (words.length <= LONG_TEXT) return h("span", { class: `json-${kind}` }, words);
  const body = h("span", { class: `json-${kind}` }, words.slice(0, LONG_TEXT));
  const more = h("button", { type: "button", class: "quiet" }, `… ${words.length - LONG_TEXT} more characters`);
  more.addEventListener("click", () => {
    body.textContent = words;
    more.remove();
  });
  return h("span", {}, body, " ", more);
}

function keyLabel(key, path, onPick) {
  const label = h("button", { type: "button", class: "json-key", title: `copy the path ${path}` }, key);
  label.addEventListener("click", (event) => {
    event.preventDefault();
    onPick(path, label);
  });
  return label;
}

function childPath(path, key, isArray) {
  if (isArray) return `${path}[${key}]`;
  return /^[A-Za-z_]\w*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
}

function fill(list, entries, from, context) {
  for (const [key, value] of entries.slice(from, from + LOT)) list.append(node(key, value, context));
  const rest = entries.length - from - LOT;
  if (rest <= 0) return;
  const more = h("button", { type: "button", class: "quiet" }, `${rest} more`);
  const item = h("li", {}, more);
  more.addEventListener("click", () => {
    item.remove();
    fill(list, entries, from + LOT, context);
  });
  list.append(item);
}

function branch(label, value, path, depth, onPick) {
  const isArray = Array.isArray(value);
  const entries = Object.entries(value);
  const note = isArray ? `[${entries.length}]` : `{${entries.length}}`;
  const list = h("ul", {});
  const details = h("details", {}, h("summary", {}, label, h("span", { class: "json-note" }, note)), list);
  const build = () => {
    if (!list.hasChildNodes()) fill(list, entries, 0, { path, isArray, depth: depth + 1, onPick });
  };
  details.addEventListener("toggle", () => details.open && build());
  if (depth < OPEN_DEPTH && entries.length <= LOT) {
    details.open = true;
    build();
  }
  return details;
}

function node(key, value, { path, isArray, depth, onPick }) {
  const here = childPath(path, key, isArray);
  if (isBranch(value) && Object.keys(value).length > 0) {
    return h("li", {}, branch(h("span", { class: "json-key", title: here }, key), value, here, depth, onPick));
  }
  const label = keyLabel(key, here, onPick);
  const shown = isBranch(value) ? h("span", { class: "json-note" }, Array.isArray(value) ? "[]" : "{}") : leaf(value);
  return h("li", { class: "json-leaf" }, label, shown);
}

/** The tree of `value`; `onPick(path, element)` when a key is clicked, the path starting with `root`. */
export function jsonTree(value, root, onPick) {
  if (!isBranch(value)) return h("div", { class: "json" }, leaf(value));
  const list = h("ul", {});
  fill(list, Object.entries(value), 0, { path: root, isArray: Array.isArray(value), depth: 1, onPick });
  return h("div", { class: "json" }, list);
}
