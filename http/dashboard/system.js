/** What is known of the daemon's inside: its tree, its figures, its dead letters and books. Pure. */

import { answered } from "./store.js";

const METRIC = /^(?:orchestrator_)?([a-z_]+?)(?:\{(.*)\})? ([\d.e+-]+)$/gm;
const ACTOR = /actor="([^"]*)"/;
/** Of these a page remembers how they went. */
const KEPT = ["journal_events", "journal_bytes", "events_received_total", "events_persisted_total", "ingest_lag_seconds_sum", "ingest_lag_seconds_count",
  "loop_stall_seconds_sum", "process_cpu_seconds_total", "process_resident_memory_bytes", "db_connections", "ws_sent_total", "bus_ping_rtt_seconds"];
const OF_ACTORS = { actor_inbox: "waiting", actor_processed_total: "done" };

/** `/metrics` as `{figures: {name: sum over its labels}, labelled: {"name{labels}": value}, actors: [[series, value]]}`. */
export function readMetrics(text) {
  const [figures, labelled, actors] = [{}, {}, []];
  for (const [, name, labels, digits] of text.matchAll(METRIC)) {
    const value = Number(digits);
    const actor = OF_ACTORS[name] && ACTOR.exec(labels)?.[1];
    if (actor !== undefined) actors.push([`${OF_ACTORS[name]} ${actor}`, value]);
    else if (!/_(bucket|created)$/.test(name)) {
      figures[name] = (figures[name] ?? 0) + value;
      if (labels) labelled[`${name}{${labels}}`] = value;
    }
  }
  return { figures, labelled, actors };
}

export function applyMetrics(state, text, nowMs) {
  const read = readMetrics(text);
  state.system.metrics = read;
  for (const name of KEPT) state.series.add(name, nowMs, read.figures[name]);
  for (const [name, value] of read.actors) state.series.add(name, nowMs, value);
  answered(state, "metrics", nowMs);
  return ["system", "actors"];
}

/** The tree as a list in order, each with its depth; bounded. */
export function flatten(tree, limit = 300) {
  const rows = [];
  const visit = (node, depth, path) => {
    if (node === null || typeof node !== "object" || rows.length >= limit) return;
    const key = `${path}/${node.name}`;
    rows.push({ node, depth, key });
    for (const child of Array.isArray(node.children) ? node.children : []) visit(child, depth + 1, key);
  };
  visit(tree, 0, "");
  return rows;
}

export function applyActors(state, body, nowMs) {
  state.actors = body.tree ?? null;
  for (const { node } of flatten(state.actors)) {
    state.series.add(`waiting ${node.name}`, nowMs, node.mailbox?.depth);
    state.series.add(`done ${node.name}`, nowMs, node.processed);
  }
  answered(state, "actors", nowMs);
  return ["actors"];
}

/** What of an agent that this daemon runs is remembered over time. */
export const USAGE = ["cpu_percent", "memory_bytes", "restarts"];

export function applyManaged(state, body, nowMs) {
  state.managed = new Map((body.agents ?? []).map((row) => [row.id, row]));
  for (const row of state.managed.values()) for (const name of USAGE) state.series.add(`${name} ${row.id}`, nowMs, row[name]);
  answered(state, "managed", nowMs);
  return ["details"];
}

export function applyLetters(state, body, nowMs) {
  state.system.letters = body;
  answered(state, "letters", nowMs);
  return ["system"];
}

export function applyBooks(state, body, nowMs) {
  state.system.books = body;
  answered(state, "books", nowMs);
  return ["system"];
}
