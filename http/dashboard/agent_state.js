/**
 * What is known of each agent, and what to call its condition. Pure: state and time come in.
 *
 * An agent that said good-bye or that an operator stopped is `stopped`: it is not missed, and
 * counts neither as down nor as trouble.
 */

import { age, parseTime, plainWords, plural } from "./format.js";

/** Agents shown one by one. */
const FOLD_ABOVE = 12;
/** How an agent is counted in a sentence. `held` and `open`: it is up, under a stop, or it is not known whether under one. */
const STANDINGS = { trouble: "in trouble", up: "fine", open: "up", held: "up under a stop", halted: "halted", stopped: "stopped on purpose" };

const standingOf = ({ condition, under }) => (TROUBLES.has(condition) ? "trouble" : condition === "up" && under ? under : condition);

/** "2 fine, 1 halted", of rows with a `condition` and how a stop stands to them (`under`: "held", "open" or nothing). */
function standingWords(rows) {
  const parts = Object.entries(STANDINGS).map(([name, word]) => [rows.filter((row) => standingOf(row) === name).length, word]);
  return parts.filter(([n]) => n > 0).map(([n, word]) => `${n} ${word}`).join(", ");
}

/** The same for all agents there are: "all 3 agents fine" only where none is halted and no stop concerns one. */
export function summaryWords(rows) {
  const words = standingWords(rows);
  return words === `${rows.length} fine` ? `${rows.length > 1 ? "all " : ""}${plural(rows.length, "agent")} fine` : words;
}

/** The versions of some agents, the most frequent first: `[[version, n]]`; those that say none are left out. */
export function versionsOf(rows) {
  const counts = new Map();
  for (const { agent } of rows) if (agent.version) counts.set(agent.version, (counts.get(agent.version) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

function foldWords(rows) {
  const versions = versionsOf(rows);
  const drift = versions.length > 1 ? [`versions ${versions.map(([version, n]) => `${version} (${n})`).join(", ")}`] : [];
  return [standingWords(rows), ...drift].join(", ");
}

/**
 * What is drawn of `ranked`: items with `{key, agent, condition, drift}`, or `{key, group, words, isOpen}` for the folded
 * rest of a group. `open` holds the groups that are unfolded; `drift` says that others of the group run another version.
 */
export function grouped(ranked, open, { fold = ranked.length > FOLD_ABOVE } = {}) {
  const groups = new Map(ranked.map((row) => [row.agent.group, []]));
  for (const row of ranked) groups.get(row.agent.group).push(row);
  const usual = new Map([...groups].map(([group, rows]) => [group, versionsOf(rows)[0]?.[0]]));
  const cards = (rows) => rows.map((row) => {
    const other = usual.get(row.agent.group);
    return { ...row, key: `agent ${row.agent.id}`, drift: row.agent.version && row.agent.version !== other ? `version ${row.agent.version}, others ${other}` : "" };
  });
  if (!fold) return cards(ranked);
  const items = cards(ranked.filter((row) => TROUBLES.has(row.condition)));
  for (const [group, rows] of [...groups].sort(([a], [b]) => a.localeCompare(b))) {
    const fine = rows.filter((row) => !TROUBLES.has(row.condition));
    if (fine.length === 0) continue;
    items.push({ key: `group ${group}`, group, words: foldWords(fine), isOpen: open.has(group), title: plural(fine.length, "agent") });
    if (open.has(group)) items.push(...cards(fine));
  }
  return items;
}

/** An agent is late after this many of its own intervals without a beat (contract.md §2). */
const LATE_INTERVALS = 3;
const DEFAULT_INTERVAL_S = 5;
/** Beats remembered for each agent's strip. */
export const BEATS_KEPT = 24;
/** Declared offline this soon after its last beat, an agent has said so itself; a time-out takes longer. */
const FAREWELL_MS = 1_000;
/** The group whose agents place orders, besides all that report a gate (contract.md §1). */
const EXECUTION_GROUP = "execution";

const STATUS_WORDS = {
  active: "active", healthy: "active", ok: "active", running: "active",
  offline: "inactive", stopped: "inactive", inactive: "inactive",
  error: "error", failed: "error", halted: "halted",
};

export const isObject = (value) => value !== null && typeof value === "object";

/** An agent from a row of `/health/agents`, with what the page remembers of it. */
export function toAgent(row, before) {
  const beatAt = parseTime(row.last_beat);
  return {
    ...row,
    id: String(row.id),
    name: String(row.name ?? row.id),
    group: String(row.agent_group ?? "unknown"),
    beatAt,
    intervalMs: (Number(row.interval_s) || (before ? before.intervalMs / 1000 : DEFAULT_INTERVAL_S)) * 1000,
    liveness: row.liveness ?? (row.is_alive === false ? "down" : "up"),
    beats: before ? before.beats : [],
    farewellAt: before ? before.farewellAt : NaN,
    errorAt: row.status === "error" ? beatAt : before?.errorAt ?? NaN,
    gate: before?.gate,
  };
}

function remember(agent, at) {
  if (agent.beats.includes(at)) return;
  agent.beats.push(at);
  agent.beats.sort((a, b) => a - b);
  if (agent.beats.length > BEATS_KEPT) agent.beats.shift();
}

/** Take a heartbeat's payload, received at `at`. */
function takeBeat(agent, body, at) {
  const status = STATUS_WORDS[body.status] ?? "active";
  agent.farewellAt = status === "inactive" ? at : NaN;
  if (status === "error") {
    agent.errorAt = at;
    agent.last_error = body.error ?? body.last_error ?? agent.last_error;
  }
  if (typeof body.gate === "string") agent.gate = body.gate;
  return status;
}

/** A live heartbeat (a `redis_event` frame); false if its agent is not known here. */
export function applyBeat(agents, frame) {
  const body = isObject(frame.data) ? frame.data : {};
  const id = String(body.agent_id ?? frame.source ?? frame.channel.slice("heartbeat.".length));
  const agent = agents.get(id);
  if (!agent) return false;
  const at = parseTime(frame.timestamp);
  agent.beatAt = Math.max(at, agent.beatAt || 0);
  remember(agent, at);
  if (Number(body.interval_s) > 0) agent.intervalMs = Number(body.interval_s) * 1000;
  if (typeof body.version === "string") agent.version = body.version;
  agent.status = takeBeat(agent, body, at);
  agent.liveness = agent.status === "inactive" ? "down" : "up";
  return true;
}

/** Heartbeats from before this page was open, as rows of `/bus/events`, in any order. */
export function applyBeatRows(agents, rows) {
  for (const row of [...rows].sort((a, b) => a.id - b.id)) {
    const agent = agents.get(String(row.payload?.agent_id ?? row.source));
    const at = parseTime(row.ts);
    if (!agent || !Number.isFinite(at)) continue;
    remember(agent, at);
    if (at >= agent.beatAt && isObject(row.payload)) takeBeat(agent, row.payload, at);
  }
}

/** An `agent.offline` event: of its own accord, or timed out? */
export function applyOffline(agents, payload, at) {
  const agent = isObject(payload) ? agents.get(String(payload.id)) : undefined;
  const beatAt = parseTime(payload?.last_beat);
  if (agent && at - beatAt < FAREWELL_MS && !(agent.beatAt > at)) agent.farewellAt = at;
}

/** "down", "error", "halted", "late", "unknown", "stopped" (on purpose) or "up". */
export function agentCondition(agent, nowMs) {
  if (["unknown", "stopped"].includes(agent.liveness)) return agent.liveness;
  const gone = agent.liveness === "down" || (agent.is_alive === false && agent.status === "inactive");
  if (gone) return agent.farewellAt >= agent.beatAt ? "stopped" : "down";
  if (agent.instances > 1) return "error";
  if (agent.status === "error" || agent.status === "halted") return agent.status;
  const overdue = nowMs - agent.beatAt > LATE_INTERVALS * agent.intervalMs;
  return agent.liveness === "late" || overdue ? "late" : "up";
}

/** Its last error in plain words and with its age, as far as that is known; empty if there is none. */
export function errorWords(agent, nowMs) {
  if (agent.instances > 1) return `${agent.instances} processes beat under this id: end all but one`;
  if (!agent.last_error) return "";
  return plainWords(String(agent.last_error)) + (Number.isFinite(agent.errorAt) ? `, ${age(nowMs - agent.errorAt)} ago` : "");
}

/** Whether it places orders. */
export const executes = (agent) => agent.group === EXECUTION_GROUP || agent.gate !== undefined;

/** Until when we could have heard a beat: silence on our side is no fault of an agent's. */
export function seenUntil(state, nowMs) {
  const heard = state.link.phase === "live" ? state.link.lastFrameAt : state.sources.agents.at;
  return Number.isFinite(heard) ? Math.min(nowMs, heard) : nowMs;
}

const TROUBLE_ORDER = ["down", "error", "late", "unknown", "halted", "up", "stopped"];
export const TROUBLES = new Set(["down", "error", "late", "unknown"]);

/** Agents with their condition, trouble first (agents that place orders before others), then by group and id. */
export function rankedAgents(state, nowMs) {
  const seenMs = seenUntil(state, nowMs);
  return [...state.agents.values()]
    .map((agent) => ({ agent, condition: agentCondition(agent, seenMs) }))
    .sort((a, b) =>
      TROUBLE_ORDER.indexOf(a.condition) - TROUBLE_ORDER.indexOf(b.condition) ||
      executes(b.agent) - executes(a.agent) ||
      a.agent.group.localeCompare(b.agent.group) || a.agent.id.localeCompare(b.agent.id));
}

/** `{up, late, down, unknown, stopped, total}`; errors count as down, halted as up. */
export function agentCounts(state, nowMs) {
  const counts = { up: 0, late: 0, down: 0, unknown: 0, stopped: 0, total: state.agents.size };
  const seenMs = seenUntil(state, nowMs);
  for (const agent of state.agents.values()) {
    const condition = agentCondition(agent, seenMs);
    counts[{ error: "down", halted: "up" }[condition] ?? condition] += 1;
  }
  return counts;
}
