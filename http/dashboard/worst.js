/** The worst of all, for the page's title and icon: stop > link > bus > store > execution agent > others. Pure. */

import { agentCondition, executes, seenUntil, TROUBLES } from "./agent_state.js";
import { trading } from "./trading.js";

/** Colour, outline and sign: no icon is fetched while the daemon does not answer. */
const BANG = "M16 9v9M16 22v1.5";
const FAULT = ["c2410c", "M16 1 31 16 16 31 1 16z", BANG];
const ICONS = {
  stop: ["d1343f", "M10 2h12l8 8v12l-8 8H10l-8-8V10z", "M10 16h12"],
  link: ["6b7785", "M3 3h26v26H3z", "M11 11l10 10M21 11l-10 10"],
  bus: FAULT, store: FAULT, execution: FAULT,
  agents: ["b7791f", "M16 2 31 29H1z", BANG],
  ok: ["2f9e6e", "M16 2a14 14 0 1 0 0 28a14 14 0 1 0 0-28z", "M10 16.5l4 4 8-9"],
};

/** The page's icon while `kind` is the worst, as an address. */
export function iconOf(kind) {
  const [colour, outline, inner] = ICONS[kind];
  const draws = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path d="${outline}" fill="#${colour}"/><path d="${inner}" fill="none" stroke="#fff" stroke-width="3.4" stroke-linecap="round"/></svg>`;
  return `data:image/svg+xml,${encodeURIComponent(draws)}`;
}

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

/** `{kind, words}`; `words` are empty when all is well. */
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
    if (words !== null) return { kind, words };
  }
  return { kind: "ok", words: "" };
}

/** The page's title: the worst first, then whose it is; a live desk says so. */
export function titleOf(state, nowMs) {
  const words = state.access.role === "asked" ? "Sign in" : worst(state, nowMs).words;
  const env = String(state.env ?? "").toUpperCase();
  const name = [state.instance ?? "Orchestrator", env === "LIVE" ? env : ""].filter(Boolean).join(" ");
  return words ? `${words} · ${name}` : name;
}
