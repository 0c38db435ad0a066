/** Says changes of state (never single events) to screen readers, the page's title and its icon. */

import { announce, setAttr, setHidden, setText } from "./dom.js";
import { age, clock, duration } from "./format.js";
import { agentCounts, tradingState, worstState } from "./store.js";

const ICONS = { ok: "icon", trouble: "icon-trouble", stopped: "icon-stopped", blind: "icon-blind" };
const TRADING = { allowed: "Trading is allowed.", stopped: "Trading is stopped.", reduce: "Reduce only: no new positions.", unknown: "The state of the killswitch is unknown." };
/** By HTTP we still see, as long as an answer is not older than this. */
const POLL_FRESH_MS = 20_000;

/** "connecting", "live", "polling" (by HTTP) or "lost" (blind). */
export function linkState(link, nowMs) {
  if (link.phase !== "lost") return link.phase;
  return nowMs - link.polledAt < POLL_FRESH_MS && link.polledAt > link.since ? "polling" : "lost";
}

function titleWords(state, kind, nowMs) {
  const name = state.instance ?? "Orchestrator";
  const counts = agentCounts(state, nowMs);
  if (kind === "blind") return `No link · ${name}`;
  if (kind === "stopped") return `${{ reduce: "REDUCE ONLY", unknown: "STATE UNKNOWN" }[tradingState(state)] ?? "STOPPED"} · ${name}`;
  if (kind === "trouble") {
    const parts = [counts.down && `${counts.down} down`, counts.late && `${counts.late} late`].filter(Boolean);
    return `${parts.join(", ") || "Trouble"} · ${name}`;
  }
  return name;
}

/** The words of the bar across the page; empty when there is nothing to say. */
export function linkWords(link, how, nowMs, host) {
  const since = `since ${clock(link.since)} UTC (${age(nowMs - link.since)})`;
  if (how === "polling") return `Live link lost ${since}. Figures are read by HTTP every few seconds instead.`;
  if (how !== "lost") return "";
  const retry = link.retryAt > nowMs ? `next try in ${duration(link.retryAt - nowMs)}` : "trying now";
  return `No answer from the daemon ${since}; ${retry}. Hatched figures are from before. The stop would go by HTTP to ${host}; if that fails, use “orc halt” on the machine.`;
}

export function mountAnnouncer({ state }) {
  const bar = document.getElementById("link-bar");
  const icon = document.getElementById("icon");
  let said = null;

  function changes(now, before) {
    if (now.trading !== before.trading && state.killswitch) announce(TRADING[now.trading], { urgent: now.trading !== "allowed" });
    else if (now.how !== before.how && now.how !== "live") announce(now.how === "lost" ? "The link to the daemon is lost." : "Reading by HTTP.", { urgent: now.how === "lost" });
    else if (now.how === "live" && before.how !== "live") announce("The live link is up.");
    else if (now.down !== before.down) announce(now.down > before.down ? `${now.down} agents are down.` : "An agent is back.");
  }

  function render(nowMs) {
    const kind = worstState(state, nowMs);
    const how = linkState(state.link, nowMs);
    const title = titleWords(state, kind, nowMs);
    if (document.title !== title) document.title = title;
    setAttr(icon, "href", `/dashboard/${ICONS[kind]}.svg`);
    setAttr(document.body, "data-link", how);
    setAttr(document.body, "data-trading", tradingState(state));
    const words = linkWords(state.link, how, nowMs, location.host);
    setHidden(bar, words === "");
    setText(bar, words);
    setAttr(bar, "data-kind", how);
    const now = { trading: tradingState(state), how, down: agentCounts(state, nowMs).down };
    if (said) changes(now, said);
    said = now;
  }
  return { render };
}
