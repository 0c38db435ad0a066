/** RegimeStatePanel: regime, trend, confidence and age; a ribbon of the last readings; each symbol in a table. */

import { h, setAttr, setHidden, setSign, setText, sign, svg } from "../dom.js";
import { unreadable } from "../faults.js";
import { age, clock, duration, figure, parseTime, percent } from "../format.js";

/** The detector reports every 15 s; after three of those it is said to be stale. */
const STALE_MS = 45_000;
const TRENDS = { bullish: "rise", bearish: "fall", sideways: "level" };
const REGIMES = ["stable", "neutral", "volatile"];
const RIBBON = 120;

const word = (value) => (typeof value === "string" && value !== "" ? value : "–");

function trend(value) {
  const shape = sign(TRENDS[value] ?? "unknown");
  const words = h("span", {}, word(value));
  const element = h("span", { class: "trend" }, shape, words);
  return { element, set(next) {
    setSign(shape, TRENDS[next] ?? "unknown");
    setText(words, word(next));
  } };
}

function row([symbol, d]) {
  const details = d !== null && typeof d === "object" ? d : {};
  return h("tr", {},
    h("th", { scope: "row" }, symbol),
    h("td", {}, word(details.regime)),
    h("td", {}, trend(details.trend).element),
    h("td", { class: "number" }, figure(details.volatility)),
    h("td", { class: "number" }, figure(details.trend_strength)),
    h("td", { class: "number" }, figure(details.data_points)));
}

function table() {
  const body = h("tbody");
  const head = ["Symbol", "Regime", "Trend", "Vol.", "Strength", "Points"].map((label, i) =>
    h("th", { scope: "col", class: i > 2 ? "number" : null }, label));
  return { body, element: h("table", { class: "symbols" }, h("caption", { class: "offscreen" }, "Regime of each symbol"), h("thead", {}, h("tr", {}, ...head)), body) };
}

/** The last readings, oldest left: as high as the regime is rough. */
function drawRibbon(ribbon, readings, nowMs) {
  const shown = readings.slice(-RIBBON);
  const width = 100 / RIBBON;
  const blocks = shown.map((r, i) => {
    const level = REGIMES.indexOf(r.regime) + 1;
    const height = 4 + level * 6;
    return svg("rect", { class: `ribbon-${REGIMES[level - 1] ?? "other"}`, x: (RIBBON - shown.length + i) * width, y: 24 - height, width: width * 0.82, height });
  });
  ribbon.replaceChildren(...blocks);
  setAttr(ribbon, "aria-label", shown.length ? `Regime since ${clock(shown[0].ts)}: ${shown.length} readings in ${duration(nowMs - shown[0].ts)}` : "No readings yet");
}

function noDataWords(state, nowMs) {
  if (state.sources.regime.error) return unreadable(state.sources.regime, nowMs);
  if (!Number.isFinite(state.sources.regime.at)) return "Reading the regime…";
  const detector = [...state.agents.values()].find((a) => /regime/.test(a.id));
  const seen = detector ? `${detector.id} last beat ${age(nowMs - detector.beatAt)} ago and needs 20 prices of each symbol.` : "No such agent has reported: start regime-detector.";
  return `No regime yet. It comes from a regime detector on quant.regime.state, every 15 s. ${seen}`;
}

export function mountRegime(root, { state }) {
  const aged = h("span", { class: "panel-age" });
  const name = h("strong", { class: "regime-word" });
  const way = trend(null);
  const filled = h("span");
  const confidence = h("span", { class: "meter", role: "meter", "aria-label": "Confidence", "aria-valuemin": 0, "aria-valuemax": 1 }, filled);
  const sure = h("b", { class: "figure" });
  const volatility = h("b", { class: "figure" });
  const origin = h("span", {});
  const ribbon = svg("svg", { class: "ribbon", viewBox: "0 0 100 24", preserveAspectRatio: "none", role: "img" });
  const span = h("span", { class: "ribbon-note" });
  const symbols = table();
  const empty = h("p", { class: "empty", hidden: true });
  const full = h("div", { class: "regime" },
    h("div", { class: "regime-top" }, name, way.element, span),
    h("div", { class: "regime-figures" }, h("span", {}, "confidence ", sure), confidence, h("span", {}, "volatility ", volatility)),
    ribbon, symbols.element);
  root.append(
    h("div", { class: "panel-head" }, h("h2", { id: "regime-title" }, "Regime"), origin, aged),
    h("div", { class: "panel-body", tabindex: 0 }, empty, full));
  origin.className = "panel-note";
  let drawn = null;
  let drawnHistory = null;

  function render(nowMs) {
    const r = state.regime;
    setHidden(full, r === null);
    setHidden(empty, r !== null);
    if (r === null) {
      setText(empty, noDataWords(state, nowMs));
      setText(aged, "");
      return;
    }
    const at = parseTime(r.last_update ?? r.timestamp);
    const stale = nowMs - at > STALE_MS;
    setAttr(root, "data-stale", stale);
    setText(aged, Number.isFinite(at) ? `${stale ? "stale: " : ""}${age(nowMs - at)} old` : "no time given");
    if (state.regimeHistory !== drawnHistory) {
      drawnHistory = state.regimeHistory;
      drawRibbon(ribbon, drawnHistory, nowMs);
      setText(span, drawnHistory.length > 1 ? `shown since ${clock(drawnHistory.slice(-RIBBON)[0].ts).slice(0, 5)}` : "");
    }
    if (drawn === r) return;
    drawn = r;
    draw(r);
  }

  function draw(r) {
    setText(name, word(r.regime));
    setAttr(name, "data-regime", r.regime);
    way.set(r.trend);
    setText(sure, percent(Number(r.confidence)));
    const share = Math.min(1, Math.max(0, Number(r.confidence) || 0));
    setAttr(confidence, "aria-valuenow", share);
    filled.style.transform = `scaleX(${share})`;
    setText(volatility, figure(r.volatility));
    setText(origin, r.source ? `from ${r.source}` : "");
    const details = r.symbol_details !== null && typeof r.symbol_details === "object" ? Object.entries(r.symbol_details) : [];
    symbols.body.replaceChildren(...details.slice(0, 200).sort((a, b) => a[0].localeCompare(b[0])).map(row));
    setHidden(symbols.element, details.length === 0);
  }
  return { render };
}
