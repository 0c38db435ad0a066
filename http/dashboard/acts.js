/** What can be done with an agent or an actor: the words of its effect, and why it cannot be done now. Pure. */

import { objectionTo } from "./access.js";
import { lastSaid, levelOf, scopeOf, tripsInForce } from "./trading.js";

const RUNS = new Set(["STARTING", "RUNNING", "BACKOFF", "RESTARTING"]);

/** Why an agent cannot resume now; null if it can. Narrower than the daemon's own answer, which counts. */
function objectionToResume(agent, killswitch) {
  if (lastSaid({ killswitch }) === "unknown") return "The state of the stop is not known: agents treat it as stopped.";
  const scopes = ["all", `group:${agent.group}`, `agent:${agent.id}`];
  const held = tripsInForce(killswitch).some((trip) => levelOf(trip) === "halt" && scopes.includes(scopeOf(trip)));
  return held ? "A stop halts it: release that first." : null;
}

const ELSEWHERE = "It is not run by this daemon: start and stop it where it runs.";

/**
 * `[{key, label, effect, objection}]` for an agent. `managed` is its row of `/runtime/agents`: undefined
 * while that is not read, null if this daemon does not run it.
 */
export function agentActs(agent, managed, { access, killswitch }) {
  const role = objectionTo(access, "agents");
  const unread = managed === undefined ? "Reading whether this daemon runs it…" : managed === null ? ELSEWHERE : null;
  const runs = RUNS.has(managed?.state);
  const act = (key, label, effect, objection) => ({ key, label, effect, objection: role ?? objection });
  const gated = agent.gate !== undefined;
  return [
    act("start", "Start", "Its process starts. A gate starts shut, and opens with the next permit.", unread ?? (runs ? "It runs already." : null)),
    act("stop", "Stop", "It ends, and stays stopped until it is started again, also when the daemon restarts. Its open orders are left to it.", unread ?? (runs ? null : "It is stopped already.")),
    act("restart", "Restart", "It ends and starts anew. What it has not published is lost; a gate starts shut.", unread),
    act("resume", "Resume", gated ? "It may act again under the next permit." : "It has no gate, so it is restarted.",
      (gated ? null : unread) ?? objectionToResume(agent, killswitch)),
  ];
}

/** The same for an actor, a node of the supervision tree. */
export function actorActs(node, { access }) {
  const below = Array.isArray(node.children) && node.children.length > 0;
  const effect = `${below ? "It and all actors below it end and start anew" : "It ends and starts anew"}: its mailbox is kept, its work pauses for a moment.`;
  return [{ key: "restart", label: "Restart", effect, objection: objectionTo(access, "actors") }];
}
