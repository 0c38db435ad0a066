/** Events and figures over time, as this page and the daemon have counted them, and the axes of their charts. Pure; times in ms. */

import { parseTime } from "./format.js";

const MINUTE = 60_000;
/** What came this shortly before an answer may not have been stored by then. */
const STORING_MS = 3_000;

/** What to ask for an axis of `spanMs` up to now. */
export function queryOf({ spanMs, widthPx }, nowMs) {
  const buckets = Math.ceil(spanMs / bucketLength(spanMs, widthPx, MINUTE));
  return { from: new Date(nowMs - spanMs).toISOString(), to: new Date(nowMs).toISOString(), buckets };
}

/** An answer of `/bus/histogram`; null if it is none. */
export function toStored(body) {
  if (!Array.isArray(body?.buckets) || !(body.bucket_s > 0)) return null;
  return {
    since: parseTime(body.counted_from ?? body.from),
    until: parseTime(body.timestamp) - STORING_MS,
    lengthMs: body.bucket_s * 1000,
    buckets: body.buckets.map(({ ts, counts }) => ({ ts: parseTime(ts), counts })),
  };
}

const covers = (spans, from, to) => spans.some(([start, end]) => start <= from && end >= to);

/** Of classes that both have counted, the larger count: each may have begun late, or ended early. */
function larger(a, b) {
  const counts = { ...a };
  for (const [name, n] of Object.entries(b)) counts[name] = Math.max(n, counts[name] ?? 0);
  return counts;
}

function joined(stored, own, from, to) {
  const { lengthMs, until } = stored;
  const byTime = new Map(stored.buckets.filter(({ ts }) => ts > from - lengthMs && ts < to).map(({ ts, counts }) => [ts, counts]));
  for (const { ts, counts } of own.buckets(until, to, lengthMs)) if (ts + lengthMs > until) byTime.set(ts, larger(counts, byTime.get(ts) ?? {}));
  const buckets = [...byTime].map(([ts, counts]) => ({ ts, counts })).sort((a, b) => a.ts - b.ts);
  return { lengthMs, buckets, known: [[Math.max(from, stored.since), Math.min(to, until)], ...own.known(until, to)] };
}

/** `{lengthMs, buckets, known}` for the axis: the page's own fine counts where they say all, else the daemon's. */
export function axisOf({ stored, own, from, to, widthPx }) {
  const known = own.known(from, to);
  const wide = bucketLength(to - from, widthPx, BUCKET_MS);
  if (stored === null || covers(known, from + BUCKET_MS, to)) return { lengthMs: wide, buckets: own.buckets(from, to, wide), known };
  return joined(stored, own, from, to);
}

export const BUCKET_MS = 5_000;
export const KEPT_MS = 86_400_000;
/** Classes of topics in the order in which they are stacked: what there is most of lies at the bottom. */
export const CLASSES = ["data", "heartbeat", "news", "quant", "strategy", "runtime", "agent", "bus", "risk", "other"];

/** The class of a topic: its first word, where that is one of the contract's. */
export function classOf(type) {
  const first = type.split(".", 1)[0];
  return CLASSES.includes(first) ? first : "other";
}

const floor = (ts) => Math.floor(ts / BUCKET_MS) * BUCKET_MS;

export class EventCounts {
  #buckets = new Map();
  /** From here on everything was seen, but for `#holes`. */
  #since = Infinity;
  #holes = [];

  /** Count an event that came, live or from a page that closed a hole. */
  add(event) {
    if (!Number.isFinite(event.ts)) return;
    const at = floor(event.ts);
    let bucket = this.#buckets.get(at);
    if (!bucket) {
      this.#buckets.set(at, (bucket = {}));
      this.#forget(at);
    }
    const name = classOf(event.type);
    bucket[name] = (bucket[name] ?? 0) + 1;
  }

  /** From `ts` on all events have been counted; a bucket that it cuts is left out. */
  startAt(ts) {
    this.#since = Math.min(this.#since, floor(ts + BUCKET_MS - 1));
  }

  /** Between these times events were missed. */
  miss(from, to) {
    this.#holes.push([floor(from), floor(to) + BUCKET_MS]);
    this.#holes.sort((a, b) => a[0] - b[0]);
  }

  /** Another store: nothing of what was counted is in it. */
  clear() {
    this.#buckets.clear();
    this.#holes = [];
    this.#since = Infinity;
  }

  #forget(newest) {
    for (const at of this.#buckets.keys()) {
      if (at >= newest - KEPT_MS) break;
      this.#buckets.delete(at);
    }
    this.#holes = this.#holes.filter(([, to]) => to >= newest - KEPT_MS);
  }

  /** Events a second, in the last bucket that is full. */
  rate(nowMs) {
    const counts = this.#buckets.get(floor(nowMs) - BUCKET_MS) ?? {};
    return Object.values(counts).reduce((a, b) => a + b, 0) / (BUCKET_MS / 1000);
  }

  /** The spans within `from`–`to` of which all events were counted. */
  known(from, to) {
    const spans = [];
    let at = Math.max(from, this.#since);
    for (const [start, end] of this.#holes) {
      if (start > at && at < to) spans.push([at, Math.min(start, to)]);
      at = Math.max(at, end);
    }
    if (at < to) spans.push([at, to]);
    return spans;
  }

  /** `[{ts, counts}]` of `lengthMs` each (a multiple of `BUCKET_MS`), empty ones left out. */
  buckets(from, to, lengthMs) {
    const merged = new Map();
    for (const [at, counts] of this.#buckets) {
      if (at < from - lengthMs || at >= to) continue;
      const ts = Math.floor(at / lengthMs) * lengthMs;
      const sum = merged.get(ts) ?? {};
      for (const [name, n] of Object.entries(counts)) sum[name] = (sum[name] ?? 0) + n;
      merged.set(ts, sum);
    }
    return [...merged].map(([ts, counts]) => ({ ts, counts })).sort((a, b) => a.ts - b.ts);
  }
}

const SECOND = 1000;
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400];
/** Pixels that a label needs, and that a bar needs to be hit with a mouse. */
const LABEL_PX = 72;
const BAR_PX = 5;

const stepFor = (least) => (STEPS_S.find((step) => step * SECOND >= least) ?? STEPS_S.at(-1)) * SECOND;

/** The length of buckets so that their bars can be told apart on `widthPx`; at least `leastMs`. */
export function bucketLength(spanMs, widthPx, leastMs) {
  return stepFor(Math.max(leastMs, (spanMs * BAR_PX) / Math.max(1, widthPx)));
}

/** `[{ts, label}]` at round times (UTC), with room for their labels. */
export function timeTicks(from, to, widthPx) {
  const step = stepFor(((to - from) * LABEL_PX) / Math.max(1, widthPx));
  const ticks = [];
  for (let ts = Math.ceil(from / step) * step; ts <= to; ts += step) {
    ticks.push({ ts, label: new Date(ts).toISOString().slice(11, step < 60 * SECOND ? 19 : 16) });
  }
  return ticks;
}

/** The next 1, 2 or 5 times a power of ten at or above `n`; at least 1. */
export function niceTop(n) {
  if (!(n > 1)) return 1;
  const power = 10 ** Math.floor(Math.log10(n));
  return [1, 2, 5, 10].map((factor) => factor * power).find((top) => top >= n);
}

/** Time to pixels and back. */
export function timeScale(from, to, leftPx, rightPx) {
  const perMs = (rightPx - leftPx) / Math.max(1, to - from);
  return {
    x: (ts) => leftPx + (ts - from) * perMs,
    ts: (x) => Math.min(to, Math.max(from, from + (x - leftPx) / perMs)),
  };
}

/** What one bar is made of, from the axis up: `[{key, low, high}]` of the keys that are there. */
export function stack(counts, keys) {
  let low = 0;
  return keys.flatMap((key) => {
    const n = counts[key] ?? 0;
    if (n === 0) return [];
    const part = { key, low, high: low + n };
    low = part.high;
    return [part];
  });
}

/** The bucket that holds `ts`, or null. Buckets ascend and are all `lengthMs` long. */
export function bucketAt(buckets, ts, lengthMs) {
  return buckets.find((bucket) => ts >= bucket.ts && ts < bucket.ts + lengthMs) ?? null;
}

/** 20 minutes of one each 5 s. */
export const POINTS_KEPT = 240;
export const NAMES_KEPT = 2000;
const [LEAST_MS, MOST_MS] = [60_000, 1_200_000];

export class Series {
  #points = new Map();
  #since = NaN;

  /** Note that `name` was `value` at `ts` (ms); what is no number, and what is not newer, is left out. */
  add(name, ts, value) {
    const points = this.#points.get(name) ?? [];
    if (!Number.isFinite(value) || ts <= points.at(-1)?.ts) return;
    points.push({ ts, value });
    this.#since = Number.isFinite(this.#since) ? this.#since : ts;
    if (points.length > POINTS_KEPT) points.shift();
    this.#points.set(name, points);
    if (this.#points.size > NAMES_KEPT) this.#points.delete(this.#points.keys().next().value);
  }

  points(name) {
    return this.#points.get(name) ?? [];
  }

  /** How fast a count grew, per second; a step down is a new beginning, of which nothing is said. */
  rates(name) {
    const points = this.points(name);
    return points.slice(1).flatMap(({ ts, value }, i) => (value < points[i].value ? [] : [{ ts, value: ((value - points[i].value) * 1000) / (ts - points[i].ts) }]));
  }

  /** How long (ms) a picture of all is that ends at `to`. */
  spanMs(to) {
    return Math.min(MOST_MS, Math.max(LEAST_MS, to - this.#since || 0));
  }

  /** The last of `rates`, or NaN. */
  rate(name) {
    return this.rates(name).at(-1)?.value ?? NaN;
  }
}

/** An area of `points` on a field of 100 × 20, as a path; the time axis ends at `to` (ms), and is `spanMs` long. */
export function areaPath(points, to, spanMs) {
  const seen = points.filter(({ ts }) => ts >= to - spanMs && ts <= to);
  if (seen.length === 0) return "";
  const top = Math.max(...seen.map(({ value }) => value)) || 1;
  const x = ({ ts }) => (100 - ((to - ts) * 100) / spanMs).toFixed(1);
  return `M${x(seen[0])} 20${seen.map((point) => `L${x(point)} ${(19 - (point.value / top) * 18).toFixed(1)}`).join("")}V20z`;
}
