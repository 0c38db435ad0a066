/**
 * May agents trade, and how do we know? The words of panel, header, title and announcements.
 *
 * Nothing is said in the present tense without a proof: an answer of the daemon's about its stop that
 * is at most `PROOF_MS` old, and none from before the link was lost. Pure: state and time come in.
 */

import { isObject } from "./agent_state.js";
import { age, clip, clock, moment, parseTime, plural } from "./format.js";

/** Ids that a line names; the rest are counted. */
const NAMED = 20;

const WORDS = {
  halt: "Halt: no new orders from agents with a gate; open ones are left to each agent",
  reduce: "Reduce: no new positions; open ones may only be made smaller",
  allowed: "Allowed: no stop concerns them",
  unknown: "Unknown: agents treat it as halt",
};

function strictest(trips) {
  if (trips.some((trip) => levelOf(trip) === "halt")) return "halt";
  return trips.length ? "reduce" : "allowed";
}

/** Does a trip concern all in `scope`? An agent whose group is not known (undefined) is in every group. */
function concerns(trip, scope, groupOf) {
  const of = scopeOf(trip);
  if (of === "all" || of === scope) return true;
  if (!of.startsWith("group:") || !scope.startsWith("agent:")) return false;
  const group = groupOf(scope.slice("agent:".length));
  return group === undefined || of === `group:${group}`;
}

/** How a stop stands to an agent: "held" if one in force concerns it, "open" while that is not known, else null. */
export function underStop(killswitch, { id, agent_group: group }) {
  if (tripsInForce(killswitch).some((trip) => concerns(trip, `agent:${id}`, () => group))) return "held";
  return killswitch?.status === "inactive" || killswitch?.status === "active" ? null : "open";
}

/**
 * `[{scope, permission, who, words}]`, the narrower scopes first, the rest of the agents last.
 *
 * Empty while no stop is in force. `groupOf(id)` is an agent's group, undefined if it is not known.
 */
export function permissions(killswitch, groupOf) {
  const row = (scope, permission, who = scopeWords(scope)) => ({ scope, permission, who, words: WORDS[permission] });
  if (killswitch?.status === "unknown") return [row("all", "unknown")];
  const trips = tripsInForce(killswitch);
  if (trips.length === 0) return [];
  const rest = strictest(trips.filter((trip) => scopeOf(trip) === "all"));
  const narrow = [...new Set(trips.map(scopeOf))].filter((scope) => scope !== "all")
    .map((scope) => row(scope, strictest(trips.filter((trip) => concerns(trip, scope, groupOf)))))
    .filter(({ permission }) => permission !== rest);
  return [...narrow, row("all", rest, narrow.length ? "all others" : undefined)];
}

const STANDINGS = [
  ["pending", "Pending", "not halted yet"],
  ["unreachable", "Unreachable", "no heartbeat; a gate shuts when its permit runs out"],
  ["without_gate", "Without a gate", "held by nothing but what they do themselves"],
  ["acknowledged", "Halted", "orders or a handler may still be open"],
  ["quiet", "Quiet", "halted, no working orders, no handler running"],
];

function names(ids) {
  const shown = ids.slice(0, NAMED).join(", ");
  return ids.length > NAMED ? `${shown} and ${ids.length - NAMED} more` : shown;
}

/** How agents stand to the stops in force, the worst first: `[{name, label, words}]`; each agent that halted stands in one. */
export function standings(agents) {
  const ids = (name) => (Array.isArray(agents?.[name]) ? agents[name].map(String) : []);
  const quiet = new Set(ids("quiet"));
  return STANDINGS.map(([name, label, meaning]) => {
    const found = name === "acknowledged" ? ids(name).filter((id) => !quiet.has(id)) : ids(name);
    return { name, label, words: found.length ? `${names(found)} (${meaning})` : "" };
  }).filter(({ words }) => words !== "");
}

/**
 * "2 of 4 agents have halted", of those that must acknowledge; empty while the daemon has not said.
 *
 * `known` is false while the daemon has not listened for a whole heartbeat.
 */
export function haltedWords(agents, known = true) {
  if (!Array.isArray(agents?.acknowledged)) return "";
  if (known === false) return `${agents.acknowledged.length} halted so far, not known yet who else must`;
  const size = (name) => (Array.isArray(agents[name]) ? agents[name].length : 0);
  const all = size("acknowledged") + size("pending") + size("unreachable");
  return all ? `${agents.acknowledged.length} of ${plural(all, "agent")} halted` : "no agent is known that would acknowledge";
}

/** An answer about the stop proves so long that it still holds. */
export const PROOF_MS = 5_000;
/** Characters of a scope in the header, whose words are never cut by the layout. */
const SCOPE_CHARS = 18;

const SIGNS = { allowed: "up", stopped: "halted", partly: "halted", reduce: "late", unknown: "unknown", unread: "unknown" };

/**
 * The trips in force, as far as the daemon knows them while its state is `unknown`.
 *
 * A daemon that lists none while it is stopped has one, of what its answer says.
 */
export function tripsInForce(killswitch) {
  if (!["active", "unknown"].includes(killswitch?.status)) return [];
  const trips = (Array.isArray(killswitch.trips) ? killswitch.trips : []).filter((trip) => isObject(trip) && !trip.released_at);
  if (trips.length || (killswitch.status === "unknown" && !killswitch.trip_id)) return trips;
  return [{ ...killswitch, at: killswitch.last_triggered, scope: "all", level: "halt" }];
}

export const levelOf = (trip) => (trip.level === "reduce" ? "reduce" : "halt");
export const scopeOf = (trip) => (typeof trip.scope === "string" && trip.scope !== "" ? trip.scope : "all");

/** "all agents", "group signals", "agent execution-1". */
export function scopeWords(scope) {
  return scope === "all" ? "all agents" : scope.replace(/^(group|agent):/, "$1 ");
}

/** "Halt for all agents", "Reduce for agent execution-1". */
export function tripWords(trip) {
  return `${levelOf(trip) === "halt" ? "Halt" : "Reduce"} for ${scopeWords(scopeOf(trip))}`;
}

/** What the daemon last said: "allowed", "stopped" (all), "partly", "reduce", "unknown" or "unread". */
export function lastSaid(state) {
  const status = state.killswitch?.status;
  if (state.killswitch === null) return "unread";
  if (status === "inactive") return "allowed";
  if (status !== "active") return "unknown";
  const halts = tripsInForce(state.killswitch).filter((trip) => levelOf(trip) === "halt");
  if (halts.length === 0) return "reduce";
  return halts.some((trip) => scopeOf(trip) === "all") ? "stopped" : "partly";
}

/** Whether what was last said still holds for certain. */
export function isProven(state, nowMs) {
  const { at } = state.sources.killswitch;
  return nowMs - at <= PROOF_MS && (state.link.phase !== "lost" || at > state.link.since);
}

/** "allowed", "stopped", "partly", "reduce" or "unknown": what may be claimed now. */
export function tradingState(state, nowMs) {
  const kind = lastSaid(state);
  return kind === "unread" || !isProven(state, nowMs) ? "unknown" : kind;
}

function forWhom(trips) {
  const scopes = [...new Set(trips.map(scopeOf))];
  if (scopes.includes("all")) return "all agents";
  const first = clip(scopeWords(scopes[0]), SCOPE_CHARS);
  return scopes.length === 1 ? first : `${first} and ${scopes.length - 1} more`;
}

function saidWords(kind, trips) {
  switch (kind) {
    case "allowed": return "Trading allowed";
    case "unknown": return "State unknown";
    case "reduce": return `Reduce only: ${forWhom(trips)}`;
    default: return `Stopped: ${forWhom(trips.filter((trip) => levelOf(trip) === "halt"))}`;
  }
}

const MEANINGS = {
  allowed: "No stop is in force. Agents may open and close positions.",
  busless: "No stop is in force, but the bus is not working: agents with a gate that get no permit halt within 3.5 s.",
  stopped: "Agents with a gate send no more orders. Open orders are left to each agent. Nothing is sold.",
  partly: "New orders of these agents stop, all others may trade. Nothing is sold.",
  mixed: "New orders of some agents stop, others may only make open positions smaller: see each scope. Nothing is sold.",
  reduce: "No new positions. These agents may only make open ones smaller.",
};

function meaningOf(kind, killswitch) {
  if (kind !== "unknown") {
    const mixed = kind === "partly" && tripsInForce(killswitch).some((trip) => levelOf(trip) === "reduce");
    const meaning = MEANINGS[mixed ? "mixed" : kind];
    if (killswitch.complete !== false || kind === "allowed") return meaning;
    return `${meaning} ${killswitch.agents_known === false ? "Not known yet who must halt." : "Not every agent has halted yet."}`;
  }
  const why = typeof killswitch.message === "string" ? ` ${killswitch.message}` : "";
  return `The daemon cannot read its own record of the stop; agents treat this as stopped.${why}`;
}

/** What happens to agents while the daemon is away: known only of daemons that list who has a gate. */
function meanwhile(killswitch) {
  const without = killswitch?.agents?.without_gate;
  if (!Array.isArray(without)) return "What agents do meanwhile cannot be seen from here.";
  const rest = without.length ? ` Without a gate, so perhaps trading: ${without.join(", ")}.` : " Agents without a gate may go on trading.";
  return `If the daemon is down, permits have run out, so agents with a gate are halted, or its guard has engaged a stop.${rest}`;
}

/** Allowed, while permits may not reach anybody. */
const isBusless = (kind, state) => kind === "allowed" && state.ready?.checks?.redis?.ok === false;

function detailOf(kind, state, nowMs) {
  if (kind === "allowed") return isBusless(kind, state) ? "no stop, but no bus: gates may be shut" : "no stop in force";
  if (kind === "unknown") return "agents treat it as stopped";
  const named = tripsInForce(state.killswitch).filter((trip) => kind === "reduce" || levelOf(trip) === "halt");
  const trip = named.findLast((one) => kind !== "stopped" || scopeOf(one) === "all");
  const at = parseTime(trip.at ?? trip.timestamp);
  return [trip.triggered_by, Number.isFinite(at) && moment(at, nowMs), clip(String(trip.reason ?? "no reason given"), 90)].filter(Boolean).join(" · ");
}

function unread(state) {
  const { error } = state.sources.killswitch;
  return { kind: "unread", proven: false, sign: "unknown", words: error ? "State not readable" : "Reading state", was: "",
    detail: error ?? "", meaning: "Whether trading is stopped is not known yet. The stop works all the same." };
}

/**
 * The state of trading, ready to show: `{kind, proven, sign, words, detail, meaning, was}`.
 *
 * `kind` is what was last said, also when it is not `proven` any more; `words` then claim nothing.
 */
export function trading(state, nowMs) {
  const kind = lastSaid(state);
  if (kind === "unread") return unread(state);
  const said = saidWords(kind, tripsInForce(state.killswitch));
  const busless = isBusless(kind, state);
  const meaning = busless ? MEANINGS.busless : meaningOf(kind, state.killswitch);
  const was = said.replace("Trading ", "").toLowerCase();
  if (isProven(state, nowMs)) return { kind, proven: true, sign: busless ? "late" : SIGNS[kind], words: said, detail: detailOf(kind, state, nowMs), meaning, was };
  return { kind, proven: false, sign: "unknown", was, words: `Not known since ${clock(state.sources.killswitch.at)}`, detail: `was: ${was}`,
    meaning: `Was: ${was}. ${meanwhile(state.killswitch)}` };
}

/** "released 31 Jan 21:08:27 UTC (1 h ago)", of the stop that was over last. */
export function lastStop(killswitch, nowMs) {
  const at = parseTime(killswitch.released_at);
  return Number.isFinite(at) ? `released ${moment(at, nowMs)} (${age(nowMs - at)} ago)` : "none on record";
}
