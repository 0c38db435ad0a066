/** The time axis over the event list: what came when, with the moments that matter; and the span of it that is listed instead of now. */

import { Chart } from "../chart.js";
import { button, h, quiet, setAttr, setHidden, setText } from "../dom.js";
import { axisOf, BUCKET_MS, CLASSES } from "../time_series.js";
import { clock, duration, plural } from "../format.js";

const MINUTE = 60_000;
const SPANS = [["15 min", 15 * MINUTE], ["1 h", 60 * MINUTE], ["6 h", 360 * MINUTE], ["24 h", 1440 * MINUTE]];
const HEIGHT_PX = 68;

function spanButtons(onSpan) {
  const buttons = SPANS.map(([words, ms]) => button(words, () => onSpan(ms), { class: "toggle" }));
  return {
    element: h("div", { class: "spans", role: "group", "aria-label": "Length of the time axis" }, ...buttons),
    show: (ms) => buttons.forEach((button, i) => setAttr(button, "aria-pressed", SPANS[i][1] === ms)),
  };
}

/** What the hover says of a moment. */
export function momentWords(ts, lengthMs, bucket, mark, isKnown) {
  const when = mark ? `${clock(mark.ts)} UTC · ${mark.words} · ${clock(ts)}` : `${clock(ts)} UTC`;
  if (!isKnown) return `${when} · not counted yet`;
  const counts = Object.entries(bucket?.counts ?? {}).sort((a, b) => b[1] - a[1]);
  const total = counts.reduce((sum, [, n]) => sum + n, 0);
  const parts = counts.slice(0, 4).map(([name, n]) => `${name} ${n}`);
  return `${when}, ${duration(lengthMs)} · ${plural(total, "event")}${parts.length ? `: ${parts.join(", ")}` : ""}`;
}

/** `onRange(from, to)` wants that span listed; `onSpan()`: another length of the axis, to be counted. */
export function mountTimeline(root, { state, log, tools, onRange, onSpan }) {
  const { axis } = state;
  const chart = new Chart({ label: "Events over time", heightPx: HEIGHT_PX, onPick: onRange });
  const spans = spanButtons(setSpan);
  const note = h("span", { class: "timeline-note" });
  let drawnAt = NaN;
  root.append(chart.element, h("div", { class: "timeline-foot" }, spans.element, note, tools));

  function setSpan(ms) {
    if (!SPANS.some(([, one]) => one === ms)) return;
    axis.spanMs = ms;
    axis.stored = null;
    onSpan();
    render(drawnAt);
  }

  function render(nowMs) {
    if (!Number.isFinite(nowMs)) return;
    drawnAt = nowMs;
    const { spanMs, stored } = axis;
    const [from, to] = [nowMs - spanMs, nowMs];
    axis.widthPx = chart.element.clientWidth || axis.widthPx;
    const { lengthMs, buckets, known } = axisOf({ stored, own: log.counts, from, to, widthPx: axis.widthPx });
    const isKnown = (ts) => known.some(([start, end]) => ts >= start && ts <= end);
    spans.show(spanMs);
    setText(note, noteWords(known, from));
    chart.draw({
      from, to, lengthMs, keys: CLASSES, known, buckets, chosen: state.asOf,
      marks: state.marks.list.filter((mark) => mark.ts >= from),
      words: (ts, bucket, mark) => momentWords(ts, lengthMs, bucket, mark, isKnown(ts)),
    });
  }

  function noteWords(known, from) {
    const parts = [];
    const { error } = state.sources.histogram;
    if (known.length === 0 || known[0][0] > from + BUCKET_MS) parts.push(known.length ? `hatched: not counted before ${clock(known[0][0])} UTC` : error ? `hatched: not counted (${error})` : "hatched: not counted yet");
    const { since } = state.marks;
    if (!(since <= from + BUCKET_MS)) parts.push(Number.isFinite(since) ? `stops, gaps and restarts since ${clock(since)} UTC only` : "stops, gaps and restarts not read yet");
    return parts.join(" · ");
  }

  return { render, setSpan };
}

/** `onChange()` when there is something else to draw; `onLeave()` when the list is to go back to now. */
export function mountAsOf({ state, log, history, onChange, onLeave }) {
  /** `{from, to, rows, more}`; `rows` are null while they are being read. */
  let range = null;
  const words = h("span");
  const element = h("p", { class: "as-of", role: "status", hidden: true }, words, " ", quiet("Back to now", onLeave));

  async function show(filter, from, to) {
    const wanted = { from, to, rows: null, more: false };
    range = state.asOf = wanted;
    onChange();
    const found = await history.range(filter, from, to);
    if (range !== wanted) return;
    if (found) log.hold(Object.assign(range, found).rows);
    else range = state.asOf = null;
    onChange();
  }

  function say({ from, to, rows, more }) {
    const span = `As of ${clock(from)} to ${clock(to)} UTC`;
    if (rows === null) return `${span}: reading…`;
    return more ? `${span}: the newest ${plural(rows.length, "event")} of more. Mark a shorter span to see all.` : `${span}: ${plural(rows.length, "event")}.`;
  }

  return {
    element, show,
    /** Show the same span through another filter. */
    again: (filter) => range && show(filter, range.from, range.to),
    leave: () => { range = state.asOf = null; },
    render() {
      setHidden(element, range === null);
      if (range) setText(words, say(range));
    },
    get on() { return range !== null; },
  };
}
