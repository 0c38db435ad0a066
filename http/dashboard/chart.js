/**
 * A chart of time on a canvas: stacked bars or coloured bands, marks, hatching where nothing is known,
 * a hover that tells, and a brush (by mouse, finger or keyboard). docs/adr has why it is our own.
 *
 * It draws what it is given and keeps nothing but where the cursor is. Colours and patterns are the page's:
 * of a class `key` it asks the token `--chart-<key>`; a band's pattern tells what its colour tells.
 */

import { bucketAt, niceTop, stack, timeScale, timeTicks } from "./time_series.js";
import { h, setAttr, setHidden, setText } from "./dom.js";
import { compact } from "./format.js";

const AXIS_PX = 16;
const MARGIN_PX = 4;
/** A shorter drag is a click. */
const BRUSH_PX = 4;
const CLICK_MS = 60_000;
const MARK_HIT_PX = 5;

const PATTERNS = {
  plain: () => {},
  dots: (c) => c.fillRect(1, 1, 2, 2),
  lines: (c) => {
    c.moveTo(-1, 7); c.lineTo(7, -1); c.moveTo(2, 9); c.lineTo(9, 2);
    c.stroke();
  },
};

function pattern(context, kind, ground, ink) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const c = tile.getContext("2d");
  c.fillStyle = ground;
  c.fillRect(0, 0, 6, 6);
  c.fillStyle = c.strokeStyle = ink;
  PATTERNS[kind](c);
  return context.createPattern(tile, "repeat");
}

export class Chart {
  #model = null;
  /** Where the cursor and the other end of the brush are (ms), or null. */
  #cursor = null;
  #anchor = null;
  #topLabel = "";
  #scale = timeScale(0, 1, 0, 1);

  /** `onPick(from, to)` after a brush, or a click, which takes a minute around it. `label` names it for those who cannot see it. */
  constructor({ label, heightPx, onPick }) {
    this.canvas = h("canvas", { height: heightPx, role: "img", "aria-label": label });
    this.tip = h("p", { class: "chart-tip", hidden: true, role: "status" });
    this.element = h("div", { class: "chart", tabindex: 0, role: "group", "aria-label": `${label}: arrow keys move, with shift they mark a span, Enter takes it` }, this.canvas, this.tip);
    this.element.style.height = `${heightPx}px`;
    this.heightPx = heightPx;
    this.onPick = onPick;
    this.#listen();
    new ResizeObserver(() => this.#paint()).observe(this.element);
  }

  /**
   * Draw: `{from, to, top?, lengthMs, keys, buckets: [{ts, counts}], known: [[from, to]], bands: [{from, to, key, pattern}],
   * marks: [{ts, key, words}], chosen: {from, to}, words(ts, bucket, mark)}`. What no `known` span covers is hatched.
   */
  draw(model) {
    this.#model = model;
    this.#paint();
    if (this.#cursor !== null) this.#tell();
  }

  #paint() {
    const model = this.#model;
    const widthPx = this.element.clientWidth;
    if (!model || widthPx === 0) return;
    const ratio = globalThis.devicePixelRatio || 1;
    const { canvas, heightPx } = this;
    if (canvas.width !== Math.round(widthPx * ratio)) canvas.width = Math.round(widthPx * ratio);
    if (canvas.height !== Math.round(heightPx * ratio)) canvas.height = Math.round(heightPx * ratio);
    const c = canvas.getContext("2d");
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, widthPx, heightPx);
    const style = getComputedStyle(canvas);
    // Tokens are written with light-dark(), which a canvas does not know; what they compute to, it does.
    const colour = (name) => {
      canvas.style.color = `var(${name})`;
      return style.color;
    };
    this.#scale = timeScale(model.from, model.to, MARGIN_PX, widthPx - MARGIN_PX);
    const room = heightPx - AXIS_PX;
    this.#paintUnknown(c, model, room, colour);
    this.#paintBands(c, model, room, colour);
    this.#paintBars(c, model, room, colour);
    this.#paintChosen(c, model, room, colour);
    this.#paintMarks(c, model, room, colour);
    this.#paintAxis(c, model, widthPx, room, colour, style);
    this.#paintCursor(c, room, colour);
  }

  #paintUnknown(c, { from, to, known }, room, colour) {
    let at = from;
    c.fillStyle = pattern(c, "lines", colour("--panel"), colour("--hatch"));
    for (const [start, end] of [...known, [to, to]]) {
      if (start > at) c.fillRect(this.#scale.x(at), 0, this.#scale.x(Math.min(start, to)) - this.#scale.x(at), room);
      at = Math.max(at, end);
    }
  }

  #paintBands(c, { bands = [], from, to }, room, colour) {
    for (const band of bands) {
      const [left, right] = [Math.max(from, band.from), Math.min(to, band.to)].map(this.#scale.x);
      if (right <= left) continue;
      c.fillStyle = pattern(c, band.pattern, colour(`--chart-${band.key}`), colour("--panel"));
      c.fillRect(left, 2, Math.max(1, right - left), room - 2);
    }
  }

  #paintBars(c, { buckets = [], keys = [], lengthMs, top }, room, colour) {
    if (buckets.length === 0) return;
    const highest = top ?? niceTop(Math.max(...buckets.map((bucket) => keys.reduce((sum, key) => sum + (bucket.counts[key] ?? 0), 0))));
    const fills = Object.fromEntries(keys.map((key) => [key, colour(`--chart-${key}`)]));
    for (const bucket of buckets) {
      const left = this.#scale.x(bucket.ts);
      const width = Math.max(1, this.#scale.x(bucket.ts + lengthMs) - left - 1);
      for (const { key, low, high } of stack(bucket.counts, keys)) {
        const y = (n) => room - (n / highest) * (room - 2);
        c.fillStyle = fills[key];
        c.fillRect(left, y(high), width, Math.max(1, y(low) - y(high)));
      }
    }
    this.#topLabel = compact(highest);
  }

  #paintChosen(c, { chosen, from, to }, room, colour) {
    if (!chosen) return;
    const [left, right] = [Math.max(from, chosen.from), Math.min(to, chosen.to)].map(this.#scale.x);
    c.fillStyle = colour("--focus");
    c.globalAlpha = 0.2;
    if (right > left) c.fillRect(left, 0, Math.max(2, right - left), room);
    c.globalAlpha = 1;
  }

  #paintMarks(c, { marks = [] }, room, colour) {
    for (const mark of marks) {
      const x = this.#scale.x(mark.ts);
      c.fillStyle = colour(`--chart-${mark.key}`);
      c.fillRect(x - 0.75, 0, 1.5, room);
      c.beginPath();
      c.moveTo(x - 4, 0); c.lineTo(x + 4, 0); c.lineTo(x, 6);
      c.fill();
    }
  }

  #paintAxis(c, { from, to, buckets }, widthPx, room, colour, style) {
    c.fillStyle = colour("--line-strong");
    c.fillRect(0, room, widthPx, 1);
    c.font = style.font;
    c.fillStyle = colour("--soft");
    c.textBaseline = "middle";
    c.textAlign = "center";
    for (const { ts, label } of timeTicks(from, to, widthPx)) {
      const x = this.#scale.x(ts);
      c.fillRect(x, room, 1, 3);
      if (x > 20 && x < widthPx - 20) c.fillText(label, x, room + 10);
    }
    c.textAlign = "start";
    if (buckets?.length) c.fillText(this.#topLabel, 2, 7);
  }

  #paintCursor(c, room, colour) {
    if (this.#cursor === null) return;
    const x = this.#scale.x(this.#cursor);
    c.fillStyle = colour("--focus");
    if (this.#anchor !== null) {
      const other = this.#scale.x(this.#anchor);
      c.globalAlpha = 0.25;
      c.fillRect(Math.min(x, other), 0, Math.abs(x - other), room);
      c.globalAlpha = 1;
    }
    c.fillRect(x, 0, 1, room);
  }

  /** Tell what is under the cursor. */
  #tell() {
    const model = this.#model;
    setHidden(this.tip, this.#cursor === null || model === null);
    if (this.#cursor === null || model === null) return;
    const x = this.#scale.x(this.#cursor);
    const mark = (model.marks ?? []).find((one) => Math.abs(this.#scale.x(one.ts) - x) <= MARK_HIT_PX);
    setText(this.tip, model.words(this.#cursor, bucketAt(model.buckets ?? [], this.#cursor, model.lengthMs), mark));
    setAttr(this.tip, "data-side", x > this.element.clientWidth / 2 ? "left" : "right");
  }

  #move(ts) {
    this.#cursor = ts;
    this.#tell();
    this.#paint();
  }

  #leave() {
    this.#anchor = null;
    this.#move(null);
  }

  #take() {
    const [from, to] = [this.#anchor ?? this.#cursor, this.#cursor].sort((a, b) => a - b);
    const around = this.#scale.x(to) - this.#scale.x(from) < BRUSH_PX ? CLICK_MS / 2 : 0;
    this.#anchor = null;
    this.onPick((around ? to : from) - around, to + around);
    this.#paint();
  }

  #listen() {
    const at = (event) => this.#scale.ts(event.clientX - this.element.getBoundingClientRect().left);
    this.element.addEventListener("pointermove", (event) => this.#model && this.#move(at(event)));
    this.element.addEventListener("pointerdown", (event) => {
      if (!this.#model || event.button !== 0) return;
      this.element.setPointerCapture(event.pointerId);
      this.#anchor = at(event);
    });
    this.element.addEventListener("pointerup", () => this.#anchor !== null && this.#take());
    this.element.addEventListener("pointercancel", () => this.#leave());
    this.element.addEventListener("pointerleave", () => this.#anchor === null && this.#leave());
    this.element.addEventListener("blur", () => this.#leave());
    this.element.addEventListener("keydown", (event) => this.#key(event));
  }

  #key(event) {
    const model = this.#model;
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
    if (!model || (step === undefined && !["Enter", "Escape"].includes(event.key))) return;
    if (event.key === "Escape" && this.#cursor === null) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "Escape") return this.#leave();
    if (event.key === "Enter") return this.#cursor !== null && this.#take();
    const from = this.#cursor ?? model.to;
    this.#anchor = event.shiftKey ? this.#anchor ?? from : null;
    this.#move(Math.min(model.to, Math.max(model.from, from + step * model.lengthMs)));
  }
}
