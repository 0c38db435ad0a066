/** Says changes of state (never single events) to screen readers, and the worst of all in the page's title and icon. */

import { agentCondition, agentCounts, executes, seenUntil, TROUBLES } from "./agent_state.js";
import { HALT } from "./commands.js";
import { announce, setAttr, setHidden, setText } from "./dom.js";
import { age, clock, dependencyFaults, duration } from "./format.js";
import { PROOF_MS, trading, tradingState } from "./trading.js";

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

/** "connecting", "live", "polling" (by HTTP) or "lost" (blind): a socket that has fallen silent proves nothing. */
export function linkState({ phase, since, lastFrameAt, polledAt }, nowMs) {
  if (phase === "connecting" || (phase === "live" && !(nowMs - lastFrameAt > PROOF_MS))) return phase;
  const silentSince = phase === "live" ? lastFrameAt : since;
  return nowMs - polledAt < PROOF_MS && polledAt > silentSince ? "polling" : "lost";
}

/** The words of the bar across the page; empty when there is nothing to say. */
export function linkWords(link, how, nowMs, host) {
  const lostAt = link.phase === "live" ? link.lastFrameAt : link.since;
  if (how === "polling") return `Live link lost since ${clock(lostAt)} UTC (${age(nowMs - lostAt)}). Figures are read by HTTP every few seconds instead.`;
  if (how !== "lost") return "";
  const retry = link.retryAt > nowMs ? `next try in ${duration(link.retryAt - nowMs)}` : "trying now";
  const heardAt = Math.max(...[link.lastFrameAt, link.polledAt].filter(Number.isFinite));
  const since = Number.isFinite(heardAt) ? `since ${clock(heardAt)} UTC (${age(nowMs - heardAt)})` : "yet";
  return `No answer from the daemon ${since}; ${retry}. Hatched figures are from before. A stop goes by HTTP to ${host}; if that fails, use “${HALT}” on the machine.`;
}

/** What the bar says: the link's loss, then what the daemon itself cannot reach. */
export function barWords(state, how, nowMs, host) {
  const link = linkWords(state.link, how, nowMs, host);
  const known = how === "live" || how === "polling";
  return [link, ...(known ? dependencyFaults(state, nowMs) : [])].filter(Boolean);
}

export function mountAnnouncer({ state }) {
  const bar = document.getElementById("link-bar");
  const icon = document.getElementById("icon");
  let said = null;

  function changes(now, before) {
    if (now.trading !== before.trading) announce(`${now.words}. ${now.detail}`, { urgent: now.trading !== "allowed" });
    else if (now.how !== before.how && now.how !== "live") announce(now.how === "lost" ? "The link to the daemon is lost." : "Reading by HTTP.", { urgent: now.how === "lost" });
    else if (now.how === "live" && before.how !== "live") announce("The live link is up.");
    else if (now.worst !== before.worst && ["bus", "store"].includes(now.kind)) announce(now.worst, { urgent: true });
    else if (now.down !== before.down) announce(now.down > before.down ? `${now.down} agents are down.` : "An agent is back.");
  }

  function showBar(how, nowMs) {
    const words = barWords(state, how, nowMs, location.host);
    setHidden(bar, words.length === 0);
    setText(bar, words.join("\n"));
    setAttr(bar, "data-kind", how === "lost" ? "lost" : "polling");
  }

  function render(nowMs) {
    const how = linkState(state.link, nowMs);
    const title = titleOf(state, nowMs);
    if (document.title !== title) document.title = title;
    setAttr(document.body, "data-link", how);
    setAttr(document.body, "data-trading", tradingState(state, nowMs));
    showBar(how, nowMs);
    const { words, detail } = trading(state, nowMs);
    const { kind, words: worstWords } = worst(state, nowMs);
    setAttr(icon, "href", iconOf(kind));
    setAttr(icon, "data-kind", kind);
    const now = { kind, worst: worstWords, trading: tradingState(state, nowMs), words, detail, how, down: agentCounts(state, nowMs).down };
    if (said && state.killswitch) changes(now, said);
    if (state.killswitch) said = now;
  }
  return { render };
}
