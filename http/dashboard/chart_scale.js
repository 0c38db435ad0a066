/** Axes of a chart of time: where ticks stand, how wide a bucket is, how high the axis. Pure; times in ms. */

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
