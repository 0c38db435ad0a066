/** The worst of all, for the page's title and icon: stop > link > bus > store > execution agent > others. Pure. */

import { agentCondition, executes, seenUntil, TROUBLES } from "./agent_state.js";
import { trading } from "./trading.js";

const ICONS = { stop: "icon-stopped", link: "icon-blind", bus: "icon-fault", store: "icon-fault", execution: "icon-fault", agents: "icon-trouble", ok: "icon" };

function stop(now) {
  if (now.kind === "allowed" || now.kind === "unread") return null;
  const words = { stopped: "STOPPED", partly: "PARTLY STOPPED", reduce: "REDUCE ONLY", unknown: "STATE UNKNOWN" }[now.kind];
  return now.proven ? words : `Was ${words}, ${now.words.toLowerCase()}`;
}

function link(state, now) {
  if (now.kind !== "unread") return now.proven ? null : `${now.words}, was ${now.was}`;
  return state.link.phase === "lost" || state.sources.killswitch.error ? "State not readable" : null;
}

const fails = (state, ...names) => names.some((name) => state.ready?.checks?.[name]?.ok === false);

function troubles(state, nowMs, only) {
  const seenMs = seenUntil(state, nowMs);
  const counts = new Map();
  let name = "";
  for (const agent of state.agents.values()) {
    const condition = agentCondition(agent, seenMs);
    if (!TROUBLES.has(condition) || !only(agent)) continue;
    const word = condition === "error" ? "down" : condition;
    counts.set(word, (counts.get(word) ?? 0) + 1);
    name = agent.name;
  }
  if (counts.size === 0) return null;
  const words = ["down", "late", "unknown"].filter((word) => counts.has(word)).map((word) => `${counts.get(word)} ${word}`);
  const one = [...counts.values()].reduce((a, b) => a + b) === 1;
  return one ? words[0].replace("1", name) : words.join(", ");
}

/** `{kind, icon, words}`; `words` are empty when all is well. */
export function worst(state, nowMs) {
  const now = trading(state, nowMs);
  const ranks = [
    ["stop", () => stop(now)],
    ["link", () => link(state, now)],
    ["bus", () => (fails(state, "redis") ? "Bus down" : null)],
    ["store", () => (fails(state, "postgres", "journal") ? "Store down" : fails(state, "actors") ? "Daemon in trouble" : null)],
    ["execution", () => troubles(state, nowMs, executes)],
    ["agents", () => troubles(state, nowMs, () => true)],
  ];
  for (const [kind, look] of ranks) {
    const words = look();
    if (words !== null) return { kind, icon: ICONS[kind], words };
  }
  return { kind: "ok", icon: ICONS.ok, words: "" };
}

/** The page's title: the worst first, then whose it is; a live desk says so. */
export function titleOf(state, nowMs) {
  const words = state.access.role === "asked" ? "Sign in" : worst(state, nowMs).words;
  const env = String(state.env ?? "").toUpperCase();
  const name = [state.instance ?? "Orchestrator", env === "LIVE" ? env : ""].filter(Boolean).join(" ");
  return words ? `${words} · ${name}` : name;
}
