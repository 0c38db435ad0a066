/**
 * All that the page knows, and how frames and answers change it. Pure: no DOM, no clock, no network.
 *
 * `apply*` functions change the state they are given and return the names of what changed
 * (`agents`, `killswitch`, `regime`, `actors`, `health`, `events`), so that only that is drawn again.
 * `nowMs` is always the server's time.
 */

import { createAccess } from "./api.js";
import * as beats from "./agent_state.js";
import { parseTime } from "./format.js";
import { Series, toStored } from "./time_series.js";
import { addMarks } from "./event.js";

const { isObject } = beats;

/** Readings of the regime remembered for the ribbon: a day of one every 15 s. */
export const REGIMES_KEPT = 5760;

/** One of the page's sources of data: what its last answer was true of, what went wrong since, and since when. */
const source = () => ({ at: NaN, error: null, since: NaN });

export function createState({ hasToken = false } = {}) {
  return {
    access: createAccess(hasToken),
    instance: null,
    env: null,
    version: null,
    link: { phase: "connecting", since: NaN, roundTripMs: NaN, lastFrameAt: NaN, retryAt: NaN, polledAt: NaN },
    agents: new Map(),
    killswitch: null,
    regime: null,
    regimeHistory: [],
    /** Whether there are none before the first of them. */
    regimeComplete: false,
    actors: null,
    /** Rows of `/runtime/agents` by id: the agents that this daemon runs; null while that is not read. */
    managed: null,
    /** Where the page is: one of the phone's places, or "system". */
    place: "desk",
    /** What the system tab reads (system.js), and how figures went. */
    system: { metrics: null, letters: null, books: null },
    series: new Series(),
    ready: null,
    /** Moments that charts mark, and since when (ms) all of them are known. */
    marks: { list: [], since: NaN },
    /** The time axis: how much it shows, and what the daemon has counted for it. */
    axis: { spanMs: 900_000, widthPx: 900, stored: null },
    /** The span that is looked at instead of now, `{from, to}`. */
    asOf: null,
    /** Since when each of `/ready`'s checks fails, as far as this page has seen. */
    failingSince: {},
    sources: { agents: source(), killswitch: source(), regime: source(), actors: source(), ready: source(), events: source(), histogram: source(), metrics: source(), letters: source(), books: source(), managed: source() },
  };
}

/** Note that `name` answered. */
export function answered(state, name, nowMs) {
  state.sources[name] = { ...source(), at: nowMs };
}

/** Note that `name` could not be read; what it said before stays. */
export function applyFailure(state, name, error, nowMs) {
  const before = state.sources[name];
  state.sources[name] = { at: before.at, error, since: before.error === null ? nowMs : before.since };
  return [name === "ready" ? "health" : name];
}

export function applyAgents(state, body, nowMs) {
  const rows = Array.isArray(body.agents) ? body.agents : [];
  state.agents = new Map(rows.map((row) => [String(row.id), beats.toAgent(row, state.agents.get(String(row.id)))]));
  answered(state, "agents", nowMs);
  return ["agents"];
}

function applyAgentStatus(state, row, nowMs) {
  if (!isObject(row) || row.id === undefined) return [];
  state.agents.set(String(row.id), beats.toAgent(row, state.agents.get(String(row.id))));
  answered(state, "agents", nowMs);
  return ["agents"];
}

/** Heartbeats and `agent.offline` events from before this page was open, as rows of `/bus/events`. */
export function applyAgentHistory(state, rows) {
  beats.applyBeatRows(state.agents, rows.filter((row) => row.type === "heartbeat"));
  for (const row of rows) if (row.type === "agent.offline") beats.applyOffline(state.agents, row.payload, parseTime(row.ts));
  return ["agents"];
}

/** What the daemon says of its stop; an answer from before the newest frame says nothing new. */
export function applyKillswitch(state, body, nowMs) {
  const at = Math.min(nowMs, parseTime(body.timestamp) || nowMs);
  if (at < state.sources.killswitch.at) return [];
  state.killswitch = body;
  answered(state, "killswitch", at);
  return ["killswitch"];
}

function tripsAfter(known, data, engaged) {
  const id = engaged ? data.trip_id : data.released?.trip_id;
  const others = known.filter((trip) => isObject(trip) && trip.trip_id !== id);
  if (engaged) return [...others, { ...data, at: data.at ?? data.timestamp }];
  if (Array.isArray(data.trips)) return data.trips;
  return data.enabled === true ? others : [];
}

/**
 * A stop or release as a frame: enough to show at once; the full state is read right after.
 *
 * Receipts for earlier stops say nothing of a new one. What the daemon could not know, a release does not settle.
 */
function applyKillswitchFrame(state, frame, nowMs) {
  const data = isObject(frame.data) ? frame.data : {};
  const engaged = frame.type === "killswitch_activated";
  const still = engaged || data.enabled === true;
  const blind = state.killswitch?.status === "unknown" && !still;
  const at = data.at ?? data.timestamp ?? frame.timestamp;
  state.killswitch = {
    ...(state.killswitch ?? {}),
    status: blind ? "unknown" : still ? "active" : "inactive",
    enabled: still || blind,
    trips: tripsAfter(Array.isArray(state.killswitch?.trips) ? state.killswitch.trips : [], data, engaged),
    ...(engaged ? { agents: null, complete: null, reason: data.reason, triggered_by: data.triggered_by, trip_id: data.trip_id, last_triggered: at } : { released_at: at }),
  };
  answered(state, "killswitch", Math.min(nowMs, parseTime(frame.timestamp) || nowMs));
  return ["killswitch"];
}

export function applyRegime(state, body, nowMs) {
  state.regime = body.status === "ok" && body.regime ? body.regime : null;
  answered(state, "regime", nowMs);
  return ["regime"];
}

/** Readings of the regime (any order, repeats allowed) for the ribbon: `{id, ts, regime, trend, confidence}`. */
export function applyRegimeHistory(state, readings) {
  const byId = new Map(state.regimeHistory.map((r) => [r.id, r]));
  for (const reading of readings) byId.set(reading.id, reading);
  state.regimeHistory = [...byId.values()].sort((a, b) => a.id - b.id).slice(-REGIMES_KEPT);
  return ["regime"];
}

export function toReading(id, ts, payload) {
  return { id, ts: parseTime(ts), regime: String(payload?.regime ?? ""), trend: String(payload?.trend ?? ""), confidence: Number(payload?.confidence) };
}

function applyRegimeEvent(state, frame, nowMs) {
  if (!isObject(frame.data)) return [];
  state.regime = { ...frame.data, last_update: frame.timestamp, source: frame.source };
  applyRegimeHistory(state, [toReading(frame.id, frame.timestamp, frame.data)]);
  answered(state, "regime", nowMs);
  return ["regime"];
}

export function applyReady(state, body, nowMs) {
  state.ready = body;
  const failing = Object.entries(body.checks ?? {}).filter(([, check]) => check?.ok === false);
  state.failingSince = Object.fromEntries(failing.map(([name]) => [name, state.failingSince[name] ?? nowMs]));
  answered(state, "ready", nowMs);
  return ["health"];
}

/** Counts for the time axis; an answer for a length that it no longer has is left out. */
export function applyHistogram(state, body, nowMs) {
  const lengthMs = parseTime(body.to) - parseTime(body.from);
  const { spanMs } = state.axis;
  if (lengthMs >= spanMs && lengthMs < 2 * spanMs) state.axis.stored = toStored(body);
  answered(state, "histogram", nowMs);
  return ["events"];
}

export function applyHealth(state, body) {
  state.instance = body.instance ?? state.instance;
  state.env = body.env ?? state.env;
  state.version = body.version ?? state.version;
  return ["health"];
}

/** Apply a WebSocket frame other than `redis_event`'s place in the list. */
export function applyFrame(state, frame, nowMs) {
  switch (frame.type) {
    case "connection": return applyHealth(state, frame);
    case "agent_status": return applyAgentStatus(state, frame.data, nowMs);
    case "killswitch_activated":
    case "killswitch_released": return applyKillswitchFrame(state, frame, nowMs);
    case "redis_event":
      return applyEvent(state, frame, nowMs);
    default: return [];
  }
}

/** Marks from before, as events of the page: all there are since `since`. */
export function applyMarks(state, events, since) {
  state.marks = { list: addMarks(state.marks.list, events), since: Number.isFinite(state.marks.since) ? Math.min(state.marks.since, since) : since };
  return ["events", "regime"];
}

function applyEvent(state, frame, nowMs) {
  switch (frame.eventType) {
    case "heartbeat": return beats.applyBeat(state.agents, frame) ? ["agents"] : [];
    case "quant.regime.state": return applyRegimeEvent(state, frame, nowMs);
    case "agent.offline":
      beats.applyOffline(state.agents, frame.data, parseTime(frame.timestamp));
      return ["agents"];
    default: return [];
  }
}
