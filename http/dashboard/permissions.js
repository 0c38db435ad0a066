/**
 * What agents may do now, per scope, and how they stand to the stops in force. Pure.
 *
 * The daemon answers what one agent may do (`/risk/killswitch/effective`); these are the same rules
 * (contract.md §2) over all trips at once, so that the page asks for no agent by itself.
 */

import { plural } from "./format.js";
import { levelOf, scopeOf, scopeWords, tripsInForce } from "./trading.js";

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
