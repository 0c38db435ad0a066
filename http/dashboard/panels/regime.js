/** RegimeStatePanel: regime, trend, confidence and age; a ribbon of the day; each symbol in a table. */

import { Chart } from "../chart.js";
import { button, h, makeTable, setAttr, setHidden, setSign, setText, sign } from "../dom.js";
import { age, clock, duration, figure, parseTime, percent, unreadable } from "../format.js";
import { fillPanel } from "./acts.js";

const TRENDS = { bullish: "rise", bearish: "fall", sideways: "level" };
const RIBBON_PX = 36;
const MINUTE = 60_000;
/** The least that the ribbon shows; at most a day. */
const SHORTEST_MS = 15 * MINUTE;
const DAY_MS = 1440 * MINUTE;

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

function noDataWords(state, nowMs) {
  if (state.sources.regime.error) return unreadable(state.sources.regime, nowMs);
  if (!Number.isFinite(state.sources.regime.at)) return "Reading the regime…";
  const detector = [...state.agents.values()].find((a) => /regime/.test(a.id));
  const seen = detector ? `${detector.id} last beat ${age(nowMs - detector.beatAt)} ago and needs 20 prices of each symbol.` : "No such agent has reported: start regime-detector.";
  return `No regime yet. It comes from a regime detector on quant.regime.state, every 15 s. ${seen}`;
}

/** The ribbon with its axis: colours and patterns, stops on it; a click or a span is that moment's events. */
function ribbonOf({ state, onPick }) {
  const chart = new Chart({ label: "Regime over time", heightPx: RIBBON_PX, onPick });
  return { element: chart.element, draw(nowMs) {
    const bands = bandsOf(state.regimeHistory, nowMs);
    const from = Math.max(nowMs - DAY_MS, Math.min(bands[0]?.from ?? nowMs, nowMs - SHORTEST_MS));
    chart.draw({
      from, to: nowMs, lengthMs: MINUTE, bands, chosen: state.asOf, known: knownSpans(bands),
      marks: state.marks.list.filter((mark) => mark.ts >= from && ["stop", "release"].includes(mark.key)),
      words: (ts, _bucket, mark) => {
        const band = bands.find((one) => ts >= one.from && ts < one.to);
        return mark ? `${clock(mark.ts)} UTC · ${mark.words}` : `${clock(ts)} UTC · ${band ? `${band.key}, from ${clock(band.from)} for ${duration(band.to - band.from)}` : "no reading known"}`;
      },
    });
  } };
}

/** `onPick(from, to)`: that span was chosen; `onEarlier()` reads further back. */
export function mountRegime(root, { state, onPick, onEarlier }) {
  const aged = h("span", { class: "panel-age" });
  const name = h("strong", { class: "regime-word" });
  const way = trend(null);
  const filled = h("span");
  const confidence = h("span", { class: "meter", role: "meter", "aria-label": "Confidence", "aria-valuemin": 0, "aria-valuemax": 1 }, filled);
  const sure = h("b", { class: "figure" });
  const volatility = h("b", { class: "figure" });
  const origin = h("span", { class: "panel-note" });
  const ribbon = ribbonOf({ state, onPick });
  const earlier = button("Earlier", onEarlier, { class: "quiet ribbon-note" });
  const symbols = makeTable("symbols", "Regime of each symbol", [["Symbol"], ["Regime"], ["Trend"], ["Vol.", "number"], ["Strength", "number"], ["Points", "number"]]);
  const empty = h("p", { class: "empty", hidden: true });
  const full = h("div", { class: "regime" },
    h("div", { class: "regime-top" }, name, way.element, earlier),
    h("div", { class: "regime-figures" }, h("span", {}, "confidence ", sure), confidence, h("span", {}, "volatility ", volatility)),
    ribbon.element, symbols.element);
  fillPanel(root, "Regime", [origin, aged], empty, full);
  let drawn = null;

  /** The reading that held at the end of a span that is looked at, as far as it is known. */
  function readingAt(ts) {
    const reading = state.regimeHistory.findLast((one) => one.ts <= ts);
    return reading && ts - reading.ts <= HOLDS_MS ? { ...reading, timestamp: new Date(reading.ts).toISOString() } : null;
  }

  function renderAsOf(nowMs) {
    const r = readingAt(state.asOf.to) ?? { regime: "not known" };
    setAttr(root, "data-stale", false);
    setText(aged, `as of ${clock(state.asOf.to)} UTC`);
    ribbon.draw(nowMs);
    if (drawn?.id !== r.id || drawn === state.regime) draw(r);
    drawn = r;
  }

  function render(nowMs) {
    const r = state.regime;
    setAttr(root, "data-as-of", state.asOf !== null);
    setHidden(full, r === null);
    setHidden(empty, r !== null);
    if (r === null) {
      setText(empty, noDataWords(state, nowMs));
      setText(aged, "");
      return;
    }
    if (state.asOf) return renderAsOf(nowMs);
    const at = parseTime(r.last_update ?? r.timestamp);
    const stale = nowMs - at > HOLDS_MS;
    setAttr(root, "data-stale", stale);
    setText(aged, Number.isFinite(at) ? `${stale ? "stale: " : ""}${age(nowMs - at)} old` : "no time given");
    ribbon.draw(nowMs);
    setHidden(earlier, state.regimeComplete || nowMs - (state.regimeHistory[0]?.ts ?? nowMs) > DAY_MS);
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

/** A reading holds until the next one, but no longer than this: the detector reports every 15 s. */
export const HOLDS_MS = 45_000;
const PATTERNS = { stable: "plain", neutral: "dots", volatile: "lines" };

/** `[{from, to, key, pattern}]` of readings that ascend; equal ones that follow on each other are one. */
export function bandsOf(readings, nowMs) {
  const bands = [];
  readings.forEach(({ ts, regime }, i) => {
    const key = Object.hasOwn(PATTERNS, regime) ? regime : "other";
    const to = Math.min(readings[i + 1]?.ts ?? nowMs, ts + HOLDS_MS);
    const last = bands.at(-1);
    if (last && last.key === key && last.to === ts) last.to = to;
    else bands.push({ from: ts, to, key, pattern: PATTERNS[key] ?? "plain" });
  });
  return bands;
}

/** Where anything is known: the bands with what adjoins joined. */
export function knownSpans(bands) {
  const spans = [];
  for (const { from, to } of bands) {
    if (spans.at(-1)?.[1] === from) spans.at(-1)[1] = to;
    else spans.push([from, to]);
  }
  return spans;
}
