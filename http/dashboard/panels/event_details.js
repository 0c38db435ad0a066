/** One event: what it is, its payload as a tree, and the ways from it to others. */

import { announce, button, copy, copyButton, fact, h, pick, quiet, setBarred, setText } from "../dom.js";
import { nameOf, textIn, toEvent } from "../event.js";
import { age, clockMs, moment, NONE, perSecond, plural } from "../format.js";
import { eventActs, mountActs } from "./acts.js";
import { eventLinks } from "./event_rows.js";

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

export function eventDetails(event, { state, api, onFilter, onOpenEvent, onTopic }) {
  let open = true;
  const commands = mountActs(async () => {
    const { missing } = await api.markProcessed([event.id]);
    if (missing.length) throw new Error("It is not stored any more.");
    event.processed = true;
    return "Marked as processed.";
  });
  const facts = buildFacts(event, onFilter);
  const acts = h("div", { class: "acts" }, pick("Only this topic", event.channel, () => onFilter(event.channel)),
    pick("Without this topic", event.channel, () => onFilter(`-${event.channel}`)), pick("Its sources and rates", event.type, () => onTopic(event.type)));
  return {
    elements: [facts.list, acts, commands.element, payloadBox(event, { api, onOpenEvent }, () => open)],
    render: (nowMs) => {
      facts.render(nowMs);
      commands.render(eventActs(event, state));
    },
    close: () => { open = false; },
  };
}

/** So far before and after it; no index helps the daemon to find a chain. */
const WITHIN_MS = 900_000;
/** Events of a chain that are looked at, and consequences that are listed. */
const LOOKED_AT = 200;
const LISTED = 50;

/** `{cause, consequences, others}` of an event among `rows` of its chain: one or null, a list, and how many remain. */
export function causesOf(event, rows) {
  const [name, causeName] = [nameOf(event), textIn(event.payload, "causation_id")];
  const chain = rows.filter((row) => row.id !== event.id);
  const cause = chain.find((row) => causeName !== null && nameOf(row) === causeName) ?? null;
  const consequences = chain.filter((row) => row !== cause && name !== null && textIn(row.payload, "causation_id") === name);
  return { cause, consequences, others: chain.length - consequences.length - (cause ? 1 : 0) };
}

const span = `${WITHIN_MS / 60_000} min of it`;

/** The words beside what was found: `{cause, consequences, note}`, empty where the list says all. */
export function causeWords(event, { cause, consequences, others }, more) {
  const named = textIn(event.payload, "causation_id");
  return {
    cause: cause ? "" : named ? `It names ${named} as its cause, which is not stored within ${span}.` : "It names no cause.",
    consequences: consequences.length > LISTED ? `The first ${LISTED} of ${consequences.length}:` : consequences.length ? "" : `Nothing within ${span} names it as its cause.`,
    note: `${plural(others, "other event")} of this chain${more ? `; only the first ${LOOKED_AT} within ${span} were looked at` : ""}.`,
  };
}

/** `event` has its payload. */
export function eventCauses(event, { api, onOpenEvent }) {
  const chain = textIn(event.payload, "correlation_id") ?? nameOf(event);
  const found = h("div");
  const read = quiet("Cause and consequences", show);
  setBarred(read, chain === null ? "Its producer names no causes: it has no correlation_id, id or numbering (boot, seq)." : null, "Events of its chain, before and after it");

  async function show() {
    setText(found, "Reading its chain…");
    const [from, to] = [-1, 1].map((sign) => new Date(event.ts + sign * WITHIN_MS).toISOString());
    try {
      const page = await api.events({ correlation_id: chain, from, to, after: 0, order: "asc", limit: LOOKED_AT });
      const result = causesOf(event, page.events.map((row) => toEvent(row)));
      const words = causeWords(event, result, page.has_more);
      const part = (title, text, events) => [h("h4", {}, title), text && h("p", { class: "note" }, text), eventLinks(events, onOpenEvent)];
      found.replaceChildren(h("div", {}, part("Cause", words.cause, result.cause ? [result.cause] : []),
        part("Consequences", words.consequences, result.consequences.slice(0, LISTED)), h("p", { class: "note" }, words.note)));
      announce(`${result.cause ? "Its cause" : "No cause"} and ${plural(result.consequences.length, "consequence")}`);
    } catch (error) {
      setText(found, `Not readable: ${error.message}`);
    }
  }

  return h("div", {}, h("div", { class: "acts" }, read), found);
}

const SOURCES_LISTED = 50;

/** Who sends a topic, by its newest events, the most frequent first: `[{source, n, perMinute}]` over the time since the oldest of them. */
export function sourcesOf(events, nowMs) {
  const minutes = Math.max(1, nowMs - Math.min(...events.map(({ ts }) => ts))) / 60_000;
  const counts = new Map();
  for (const { source } of events) counts.set(source, (counts.get(source) ?? 0) + 1);
  return [...counts].map(([source, n]) => ({ source, n, perMinute: n / minutes })).sort((a, b) => b.n - a.n);
}

/** A topic: how much of it there is, and who sends it at which rate. */
export function topicDetails(type, { api, now, onFilter }) {
  const body = h("div", {}, "Reading what is stored of it…");
  const line = ({ source, n, perMinute }) => h("li", {}, button([h("b", {}, source ?? "no source"), h("span", {}, `${perMinute < 0.05 ? "under 0.1" : perSecond(perMinute)} a minute (${n} of these)`)],
    () => onFilter(source === null ? type : `${type} source:${source}`)));
  api.events({ type, limit: LOOKED_AT }).then((page) => {
    const sources = sourcesOf(page.events.map((row) => toEvent(row)), now());
    const first = sources.length > SOURCES_LISTED ? `, the first ${SOURCES_LISTED} of ${sources.length}` : "";
    body.replaceChildren(h("h4", {}, `Sources of its latest ${plural(page.events.length, "event")}${first}`), h("ul", { class: "latest" }, sources.slice(0, SOURCES_LISTED).map(line)));
  }, (error) => setText(body, `Not readable: ${error.message}`));
  return { elements: [body], render() {}, close() {} };
}
