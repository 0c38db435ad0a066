/** Says changes of state (never single events) to screen readers, the page's title and its icon. */

import { agentCounts } from "./agent_state.js";
import { HALT } from "./commands.js";
import { announce, setAttr, setHidden, setText } from "./dom.js";
import { dependencyFaults } from "./faults.js";
import { age, clock, duration } from "./format.js";
import { PROOF_MS, trading, tradingState } from "./trading.js";
import { iconOf, titleOf, worst } from "./worst.js";

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
