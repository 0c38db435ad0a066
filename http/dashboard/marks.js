/** The moments that a chart of time marks: stops, releases, gaps, starts and restarts. Pure. */

import { preview } from "./event.js";

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
