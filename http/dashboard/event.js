/** An event as the page keeps it, from whichever way it came: with its severity, a line that tells what is in it, and the moments that charts mark. Pure. */

import { clip, count, price } from "./format.js";

const LIMIT = 240;
const text = (value) => (typeof value === "string" ? value : value === undefined || value === null ? "" : JSON.stringify(value) ?? "");
const number = (value) => {
  if (typeof value !== "number") return text(value);
  return Number.isInteger(value) ? count(value) : String(Number(value.toPrecision(5)));
};
const money = (value) => (typeof value === "number" ? price(value) : text(value));
const joined = (parts) => parts.filter((p) => p !== "" && p !== undefined && p !== null).join("  ");

function market(p) {
  return joined([text(p.symbol).padEnd(5), money(p.price), p.bid === undefined ? "" : `bid ${money(p.bid)}`,
    p.ask === undefined ? "" : `ask ${money(p.ask)}`, p.volume === undefined ? "" : `vol ${number(p.volume)}`, text(p.timeframe)]);
}

function candidate(p) {
  return joined([text(p.symbol), text(p.strategy), text(p.action), p.score === undefined ? "" : `score ${number(p.score)}`,
    p.confidence === undefined ? "" : `confidence ${number(p.confidence)}`]);
}

function regime(p) {
  return joined([`${text(p.regime)} / ${text(p.trend)}`, p.confidence === undefined ? "" : `confidence ${number(p.confidence)}`,
    p.symbols_analyzed === undefined ? "" : `${number(p.symbols_analyzed)} symbols`]);
}

function killswitch(p) {
  if (p.enabled === false) return joined(["RELEASED", text(p.reason), p.triggered_by ? `by ${text(p.triggered_by)}` : ""]);
  return joined(["STOP", text(p.reason), p.triggered_by ? `by ${text(p.triggered_by)}` : ""]);
}

const agent = (p) => joined([text(p.id ?? p.agent_id ?? p.name), text(p.reason), p.last_error ? `error: ${text(p.last_error)}` : ""]);
const restarted = (p) => joined([text(p.actor), text(p.reason), p.restarts === undefined ? "" : `restart ${number(p.restarts)}`]);
const rejected = (p) => joined([text(p.channel), text(p.reason), p.size === undefined ? "" : `${number(p.size)} bytes`]);
const dropped = (p) => joined([text(p.reason), p.count === undefined ? "" : `${number(p.count)} events`]);

function gap(p) {
  const many = typeof p.count === "number" ? `${number(p.count)} messages` : "an unknown number of messages";
  return joined([`${many} missing`, text(p.source), `${text(p.from)} to ${text(p.to)}`, `(${text(p.cause)})`]);
}

const heartbeat = (p) => joined([text(p.status), text(p.group), text(p.version)]);

const TEMPLATES = {
  "strategy.candidate": candidate,
  "quant.regime.state": regime,
  "risk.killswitch": killswitch,
  "agent.online": agent,
  "agent.offline": agent,
  "agent.error": agent,
  "runtime.actor_restarted": restarted,
  "bus.rejected": rejected,
  "bus.dropped": dropped,
  "bus.gap": gap,
  heartbeat,
};

function fallback(p) {
  if (p === null || typeof p !== "object") return text(p);
  const shown = [];
  for (const key of Object.keys(p)) {
    if (shown.length === 8) break;
    const value = p[key];
    shown.push(`${key}=${clip(number(value), 48)}`);
  }
  return shown.join("  ");
}

/** The event in one line, at most 240 characters. Never fails: a payload of an odd shape falls back to its fields. */
export function preview(type, payload) {
  const isObject = payload !== null && typeof payload === "object" && !Array.isArray(payload);
  const template = type.startsWith("data.market.") ? market : Object.hasOwn(TEMPLATES, type) ? TEMPLATES[type] : null;
  const line = isObject && template ? template(payload) || fallback(payload) : fallback(payload);
  return clip(line.replace(/\s*[\r\n]+\s*/g, " "), LIMIT);
}

/** "critical", "warning" or "info". */
export function severity(type, payload) {
  if (type === "risk.killswitch") return payload?.enabled === false ? "warning" : "critical";
  if (type === "agent.error") return "critical";
  if (type.startsWith("bus.") || type.startsWith("risk.")) return "warning";
  if (type === "agent.offline" || type === "runtime.actor_restarted") return "warning";
  return "info";
}

/** Larger payloads are not kept in the page, but read again when they are opened. */
const MAX_PAYLOAD_CHARS = 16384;

/** An event row from a `redis_event` frame or a REST row. `size` is the frame's length in characters. */
export function toEvent(raw, size = 0) {
  const type = String(raw.eventType ?? raw.type);
  const payload = raw.eventType === undefined ? raw.payload : raw.data;
  const source = typeof raw.source === "string" ? raw.source : null;
  const ts = raw.eventType === undefined ? raw.ts : raw.timestamp;
  return {
    kind: "event",
    id: raw.id,
    type,
    channel: String(raw.channel ?? (type === "heartbeat" && source ? `heartbeat.${source}` : type)),
    source,
    ts: Date.parse(ts),
    payload: size > MAX_PAYLOAD_CHARS ? undefined : payload,
    preview: preview(type, payload),
    severity: severity(type, payload),
    /** Null: the way that it came does not say. */
    processed: typeof raw.processed === "boolean" ? raw.processed : null,
  };
}

/** A text of the payload that is not blank, or null. */
export const textIn = (payload, key) => (typeof payload?.[key] === "string" && payload[key].trim() ? payload[key] : null);

/** What other events call it: its own `id`, else its place in its producer's numbering; null if it has neither. The same as protocol/causes.py. */
export function nameOf({ payload, source, channel }) {
  const [boot, seq] = [textIn(payload, "boot"), payload?.seq];
  return textIn(payload, "id") ?? (boot !== null && Number.isSafeInteger(seq) && seq >= 0 ? `${boot}/${source ?? "None"}/${channel}/${seq}` : null);
}

/** Topics that are rare enough to be read for a whole day. */
export const MARKED_TYPES = ["risk.killswitch", "bus.gap", "runtime.started", "runtime.actor_restarted"];
/** Marks kept; the newest win. */
export const MARKS_KEPT = 400;

const WORDS = { stop: "Stop", release: "Release", gap: "Gap", start: "Daemon started", restart: "Actor restarted" };

function keyOf(event) {
  switch (event.type) {
    case "risk.killswitch": return event.payload?.enabled === false || event.payload?.released ? "release" : "stop";
    case "bus.gap": return "gap";
    case "runtime.started": return "start";
    default: return "restart";
  }
}

/** `{id, ts, key, words}` of an event of one of `MARKED_TYPES`. */
export function markOf(event) {
  const key = keyOf(event);
  return { id: event.id, ts: event.ts, key, words: `${WORDS[key]}: ${preview(event.type, event.payload)}` };
}

/** Take more events (any order, repeats allowed) into the marks; returns the new list, ascending. */
export function addMarks(marks, events) {
  const byId = new Map(marks.map((mark) => [mark.id, mark]));
  for (const event of events) if (MARKED_TYPES.includes(event.type)) byId.set(event.id, markOf(event));
  return [...byId.values()].sort((a, b) => a.ts - b.ts).slice(-MARKS_KEPT);
}
