/** AgentStatusGrid: trouble first, the rest by group; a card says state, beat against expected, and what it is. */

import { BEATS_KEPT, errorWords, grouped, rankedAgents, summaryWords } from "../agent_state.js";
import { linkState } from "../announcer.js";
import { RUN_AGENT } from "../commands.js";
import { h, keyed, setAttr, setHidden, setSign, setText, setWords, sign, svg } from "../dom.js";
import { age, duration, plural } from "../format.js";
import { underStop } from "../trading.js";
import { ageWords, faultLine, fillPanel } from "./acts.js";

/** Cards drawn at once; the rest is said as a number and found by the filter. */
const MAX_CARDS = 120;
const STEP = 5;
/** So few cards get more room each. */
const FEW = 6;

const KINDS = { external: "external", process: "process", in_process: "in process" };

/** The last beats as bars: as high as the wait before each was long, against the expected interval. */
function beatsPath(agent) {
  let path = "";
  const { beats, intervalMs } = agent;
  for (let i = 1; i < beats.length; i += 1) {
    const ratio = Math.min(2.4, (beats[i] - beats[i - 1]) / intervalMs);
    const height = Math.max(1.5, ratio * 5);
    const x = (BEATS_KEPT - beats.length + i) * STEP;
    path += `M${x} ${14 - height}h3V14h-3z`;
  }
  return path;
}

function card({ onSelect }) {
  const shape = sign("unknown");
  const word = h("span", { class: "word" });
  const name = h("span", { class: "agent-name" });
  const beat = h("span", { class: "figure" });
  const every = h("span", { class: "agent-every" });
  const about = h("span", { class: "agent-about" });
  const bars = svg("path", {});
  const strip = svg("svg", { class: "beats", viewBox: `0 0 ${BEATS_KEPT * STEP} 14`, preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("path", { class: "beats-expected", d: `M0 9h${BEATS_KEPT * STEP}` }), bars);
  const error = h("span", { class: "agent-error" });
  const element = h("button", { type: "button", class: "agent" },
    h("span", { class: "agent-top" }, shape, name, word),
    h("span", { class: "agent-beat" }, h("span", {}, "beat ", beat), strip),
    h("span", { class: "agent-foot" }, about, every), error);
  let id = "";
  element.addEventListener("click", () => onSelect(id));
  return {
    element,
    update({ agent, condition, past, nowMs, drift }) {
      id = agent.id;
      setSign(shape, condition);
      setAttr(element, "data-kind", condition);
      setText(name, agent.name);
      setText(word, past ? `was ${condition}` : condition);
      setText(beat, Number.isFinite(agent.beatAt) ? `${age(nowMs - agent.beatAt)} ago` : "never");
      setText(every, `every ${duration(agent.intervalMs)}`);
      setText(about, [drift || agent.group, KINDS[agent.kind] ?? agent.kind].filter(Boolean).join(" · "));
      setWords(error, errorWords(agent, nowMs));
      setAttr(bars, "d", beatsPath(agent));
      setAttr(about, "data-drift", drift !== "");
      setAttr(element, "title", [agent.name === agent.id ? agent.id : `${agent.name} (${agent.id})`, agent.id_note && `its id ${agent.id_note}`].filter(Boolean).join(": "));
    },
  };
}

/** The rest of a group in one line; a press unfolds it. */
function foldRow({ onFold }) {
  const shape = sign("up");
  const name = h("span", { class: "agent-name" });
  const words = h("span", {});
  const element = h("button", { type: "button", class: "agent fold" }, shape, name, words);
  let group = "";
  element.addEventListener("click", () => onFold(group));
  return { element, update(item) {
    group = item.group;
    setText(name, group);
    setText(words, item.words);
    setAttr(element, "aria-expanded", item.isOpen ? "true" : "false");
    setAttr(element, "title", `${item.title}: press to ${item.isOpen ? "fold" : "show"} them`);
  } };
}

function matches({ agent, condition }, words) {
  const hay = `${agent.id} ${agent.name} ${agent.group} ${agent.kind ?? ""} ${condition} ${agent.version ?? ""}`.toLowerCase();
  return words.every((word) => hay.includes(word));
}

function emptyWords(state, filtered) {
  if (filtered) return "No agent matches. Clear the filter to see all.";
  if (Number.isFinite(state.sources.agents.at)) return `No agent has ever reported. Start one with “${RUN_AGENT}”, or publish a heartbeat on heartbeat.<agent_id>.`;
  return state.sources.agents.error ? "" : "Reading the registry…";
}

export function mountAgents(root, { state, onSelect, onRetry }) {
  const known = new Map();
  const summary = h("span", { class: "panel-note" });
  const aged = h("span", { class: "panel-age" });
  const filter = h("input", { type: "search", class: "search", placeholder: "filter: name, group, state", "aria-label": "Filter the agents" });
  const grid = h("div", { class: "grid" });
  const empty = h("p", { class: "empty", hidden: true });
  const more = h("p", { class: "empty", hidden: true });
  const fault = faultLine(onRetry);
  let drawAgain = () => {};
  const open = new Set();
  const onFold = (group) => {
    if (!open.delete(group)) open.add(group);
    drawAgain();
  };
  filter.addEventListener("input", () => drawAgain());
  fillPanel(root, "Agents", [summary, filter, aged], fault.element, grid, empty, more);

  function render(nowMs) {
    const ranked = rankedAgents(state, nowMs).map((row) => ({ ...row, under: underStop(state.killswitch, row.agent) }));
    const past = linkState(state.link, nowMs) === "lost";
    const words = filter.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const shown = ranked.filter((r) => matches(r, words));
    const items = grouped(shown, open, words.length ? { fold: false } : {});
    const drawn = items.slice(0, MAX_CARDS).map((item) => ({ ...item, past, nowMs }));
    keyed(grid, known, drawn, (item) => item.key, (item) => (item.agent ? card({ onSelect }) : foldRow({ onFold })));
    setAttr(grid, "data-few", drawn.length <= FEW ? true : null);
    setText(summary, `${past && ranked.length ? "were: " : ""}${ranked.length ? summaryWords(ranked) : ""}`);
    setAttr(summary, "title", summary.textContent);
    setText(aged, ageWords(state.sources.agents.at, nowMs));
    setWords(empty, shown.length > 0 ? "" : emptyWords(state, ranked.length > 0));
    setHidden(more, items.length <= MAX_CARDS);
    setText(more, `${plural(items.length - MAX_CARDS, "more agent")} not drawn: filter to find them.`);
    fault.show(state.sources.agents, nowMs);
    drawAgain = () => render(nowMs);
  }
  return { render };
}
