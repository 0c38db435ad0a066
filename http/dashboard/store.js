/**
 * All that the page knows, and how frames and answers change it. Pure: no DOM, no clock, no network.
 *
 * `apply*` functions change the state they are given and return the names of what changed
 * (`agents`, `killswitch`, `regime`, `actors`, `health`, `events`), so that only that is drawn again.
 * `nowMs` is always the server's time.
 */

import { parseTime } from "./format.js";

/** An agent is late after this many of its own intervals without a beat (contract.md §2). */
const LATE_INTERVALS = 3;
const DEFAULT_INTERVAL_S = 5;
/** Beats remembered for each agent's strip. */
export const BEATS_KEPT = 24;
/** Readings of the regime remembered for the ribbon. */
export const REGIMES_KEPT = 240;

const STATUS_WORDS = {
  active: "active", healthy: "active", ok: "active", running: "active",
  offline: "inactive", stopped: "inactive", inactive: "inactive",
  error: "error", failed: "error", halted: "halted",
};

/** One of the page's sources of data: when it last answered, and what went wrong since. */
const source = () => ({ at: NaN, error: null });

export function createState() {
  return {
    instance: null,
    env: null,
    version: null,
    link: { phase: "connecting", since: NaN, roundTripMs: NaN, lastFrameAt: NaN, retryAt: NaN, polledAt: NaN },
    agents: new Map(),
    killswitch: null,
    regime: null,
    regimeHistory: [],
    actors: null,
    ready: null,
    sources: { agents: source(), killswitch: source(), regime: source(), actors: source(), ready: source(), events: source() },
  };
}

/** Note that `name` answered. */
function answered(state, name, nowMs) {
  state.sources[name] = { at: nowMs, error: null };
}

/** Note that `name` could not be read; what it said before stays. */
export function applyFailure(state, name, error) {
  state.sources[name] = { at: state.sources[name].at, error };
  return [name === "ready" ? "health" : name];
}

function toAgent(row, before) {
  return {
    ...row,
    id: String(row.id),
    name: String(row.name ?? row.id),
    group: String(row.agent_group ?? "unknown"),
    beatAt: parseTime(row.last_beat),
    intervalMs: (Number(row.interval_s) || (before ? before.intervalMs / 1000 : DEFAULT_INTERVAL_S)) * 1000,
    liveness: row.liveness ?? (row.is_alive === false ? "down" : "up"),
    beats: before ? before.beats : [],
  };
}

export function applyAgents(state, body, nowMs) {
  const agents = new Map();
  for (const row of Array.isArray(body.agents) ? body.agents : []) {
    agents.set(String(row.id), toAgent(row, state.agents.get(String(row.id))));
  }
  state.agents = agents;
  answered(state, "agents", nowMs);
  return ["agents"];
}

function applyAgentStatus(state, row, nowMs) {
  if (row === null || typeof row !== "object" || row.id === undefined) return [];
  const before = state.agents.get(String(row.id));
  state.agents.set(String(row.id), toAgent(row, before));
  answered(state, "agents", nowMs);
  return ["agents"];
}

function applyBeat(state, frame) {
  const body = frame.data !== null && typeof frame.data === "object" ? frame.data : {};
  const id = String(body.agent_id ?? frame.source ?? frame.channel.slice("heartbeat.".length));
  const agent = state.agents.get(id);
  if (!agent) return [];
  const at = parseTime(frame.timestamp);
  agent.beatAt = Math.max(at, agent.beatAt || 0);
  agent.beats.push(at);
  if (agent.beats.length > BEATS_KEPT) agent.beats.shift();
  if (Number(body.interval_s) > 0) agent.intervalMs = Number(body.interval_s) * 1000;
  if (typeof body.version === "string") agent.version = body.version;
  agent.status = STATUS_WORDS[body.status] ?? "active";
  agent.liveness = agent.status === "inactive" ? "down" : "up";
  return ["agents"];
}

/** Beats from before this page was open, as rows of `/bus/events`, in any order. */
export function applyBeatHistory(state, rows) {
  for (const row of [...rows].sort((a, b) => a.id - b.id)) {
    const agent = state.agents.get(String(row.payload?.agent_id ?? row.source));
    const at = parseTime(row.ts);
    if (!agent || agent.beats.includes(at)) continue;
    agent.beats.push(at);
    agent.beats.sort((a, b) => a - b);
    if (agent.beats.length > BEATS_KEPT) agent.beats.shift();
  }
  return ["agents"];
}

/** What to show of an agent: "down", "error", "halted", "late", "unknown" or "up". */
export function agentCondition(agent, nowMs) {
  if (agent.liveness === "unknown") return "unknown";
  if (agent.liveness === "down" || agent.is_alive === false && agent.status === "inactive") return "down";
  if (agent.status === "error") return "error";
  if (agent.status === "halted") return "halted";
  const overdue = nowMs - agent.beatAt > LATE_INTERVALS * agent.intervalMs;
  return agent.liveness === "late" || overdue ? "late" : "up";
}

/** Until when we could have heard a beat: silence on our side is no fault of an agent's. */
export function seenUntil(state, nowMs) {
  const heard = state.link.phase === "live" ? state.link.lastFrameAt : state.sources.agents.at;
  return Number.isFinite(heard) ? Math.min(nowMs, heard) : nowMs;
}

const TROUBLE_ORDER = ["down", "error", "late", "unknown", "halted", "up"];

/** Agents with their condition, trouble first, then by group and id. */
export function rankedAgents(state, nowMs) {
  const seenMs = seenUntil(state, nowMs);
  return [...state.agents.values()]
    .map((agent) => ({ agent, condition: agentCondition(agent, seenMs) }))
    .sort((a, b) =>
      TROUBLE_ORDER.indexOf(a.condition) - TROUBLE_ORDER.indexOf(b.condition) ||
      a.agent.group.localeCompare(b.agent.group) || a.agent.id.localeCompare(b.agent.id));
}

/** `{up, late, down}`; errors count as down, halted as up, unknown apart. */
export function agentCounts(state, nowMs) {
  const counts = { up: 0, late: 0, down: 0, unknown: 0, total: state.agents.size };
  const seenMs = seenUntil(state, nowMs);
  for (const agent of state.agents.values()) {
    const condition = agentCondition(agent, seenMs);
    if (condition === "error") counts.down += 1;
    else if (condition === "halted") counts.up += 1;
    else counts[condition] += 1;
  }
  return counts;
}

export function applyKillswitch(state, body, nowMs) {
  state.killswitch = body;
  answered(state, "killswitch", nowMs);
  return ["killswitch"];
}

/** A stop or release as a frame: enough to show at once; the full state is read right after. */
function applyKillswitchFrame(state, frame, nowMs) {
  const data = frame.data !== null && typeof frame.data === "object" ? frame.data : {};
  const engaged = frame.type === "killswitch_activated";
  const still = engaged || data.enabled === true;
  state.killswitch = {
    ...(state.killswitch ?? {}),
    status: still ? "active" : "inactive",
    enabled: still,
    ...(engaged
      ? { reason: data.reason, triggered_by: data.triggered_by, trip_id: data.trip_id, last_triggered: data.at ?? data.timestamp ?? frame.timestamp }
      : { released_at: data.at ?? data.timestamp ?? frame.timestamp }),
  };
  answered(state, "killswitch", nowMs);
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
  if (frame.data === null || typeof frame.data !== "object") return [];
  state.regime = { ...frame.data, last_update: frame.timestamp, source: frame.source };
  applyRegimeHistory(state, [toReading(frame.id, frame.timestamp, frame.data)]);
  answered(state, "regime", nowMs);
  return ["regime"];
}

export function applyActors(state, body, nowMs) {
  state.actors = body.tree ?? null;
  answered(state, "actors", nowMs);
  return ["actors"];
}

export function applyReady(state, body, nowMs) {
  state.ready = body;
  answered(state, "ready", nowMs);
  return ["health"];
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
      if (frame.eventType === "heartbeat") return applyBeat(state, frame);
      if (frame.eventType === "quant.regime.state") return applyRegimeEvent(state, frame, nowMs);
      return [];
    default: return [];
  }
}

/** "allowed", "stopped", "reduce" or "unknown": what the page says about trading. */
export function tradingState(state) {
  const status = state.killswitch?.status;
  if (status === "inactive") return "allowed";
  if (status !== "active") return "unknown";
  const trips = Array.isArray(state.killswitch.trips) ? state.killswitch.trips : [];
  const open = trips.filter((t) => t && !t.released_at);
  return open.length > 0 && open.every((t) => t.level === "reduce") ? "reduce" : "stopped";
}

/** The worst of all, for the page's title and icon: "blind", "stopped", "trouble" or "ok". */
export function worstState(state, nowMs) {
  if (state.link.phase === "lost") return "blind";
  if (tradingState(state) !== "allowed") return state.killswitch ? "stopped" : "ok";
  const counts = agentCounts(state, nowMs);
  const unready = state.ready !== null && Object.values(state.ready.checks ?? {}).some((c) => c && c.ok === false);
  return counts.down + counts.late > 0 || unready ? "trouble" : "ok";
}
