/** One event: what it is, its payload as a tree, and the ways from it to others. */

import { announce, button, copy, copyButton, fact, h, pick, quiet } from "../dom.js";
import { age, clockMs, moment, NONE } from "../format.js";
import { eventCauses } from "./event_causes.js";

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
  const more = quiet(`… ${words.length - LONG_TEXT} more characters`, () => {
    body.textContent = words;
    more.remove();
  });
  return h("span", {}, body, " ", more);
}

function keyLabel(key, path, onPick) {
  const label = button(key, (event) => {
    event.preventDefault();
    onPick(path, label);
  }, { class: "json-key", title: `copy the path ${path}` });
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
  const item = h("li", {}, quiet(`${rest} more`, () => {
    item.remove();
    fill(list, entries, from + LOT, context);
  }));
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

async function copyPath(path, element) {
  const done = await copy(path);
  element.classList.toggle("copied", done);
  announce(done ? `Copied ${path}` : "Copying is not allowed here");
  setTimeout(() => element.classList.remove("copied"), 900);
}

/** The payload, and the ways by what it names; a large one is read again, since the page does not keep it. */
function payloadBox(event, { api, onOpenEvent }, isOpen) {
  const box = h("div", { class: "payload" });
  const fill = (payload) => box.replaceChildren(eventCauses({ ...event, payload }, { api, onOpenEvent }),
    h("div", { class: "payload-head" }, h("h4", {}, "Payload"), copyButton("Copy JSON", () => JSON.stringify(payload, null, 2))),
    jsonTree(payload, "data", copyPath));
  if (event.payload !== undefined) fill(event.payload);
  else {
    box.append(h("p", { class: "empty" }, "A large payload: reading it…"));
    api.event(event.id).then(
      (answer) => isOpen() && fill(answer.event?.payload),
      (error) => isOpen() && box.replaceChildren(h("p", { class: "fault" }, `Not readable: ${error.message}`)));
  }
  return box;
}

function buildFacts(event, onFilter) {
  const list = h("dl", { class: "facts" });
  const received = fact(list, "Received");
  const add = (label, ...value) => fact(list, label).value.append(...value);
  add("Source", event.source ? pick(event.source, "show only what this source sent", () => onFilter(`source:${event.source}`)) : "none");
  add("Severity", event.severity);
  add("Id", h("span", {}, `${event.id} `), copyButton("copy", () => String(event.id)));
  const correlation = event.payload?.correlation_id;
  if (typeof correlation === "string") add("Belongs to", pick(correlation, "show all with this correlation id", () => onFilter(`data.correlation_id=${correlation}`)));
  received.value.title = `here: ${Number.isFinite(event.ts) ? new Date(event.ts).toLocaleString() : NONE}`;
  return { list, render: (nowMs) => received.set(`${moment(event.ts, nowMs).replace(/\d\d:\d\d:\d\d/, clockMs(event.ts))}, ${age(nowMs - event.ts)} ago`) };
}

export function eventDetails(event, { api, onFilter, onOpenEvent }) {
  let open = true;
  const facts = buildFacts(event, onFilter);
  const acts = h("div", { class: "acts" }, pick("Only this topic", event.channel, () => onFilter(event.channel)),
    pick("Without this topic", event.channel, () => onFilter(`-${event.channel}`)));
  return {
    elements: [facts.list, acts, payloadBox(event, { api, onOpenEvent }, () => open)],
    render: facts.render,
    close: () => { open = false; },
  };
}
