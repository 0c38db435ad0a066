/** Counts by time as the daemon gave them, joined with what this page has counted since. Pure; times in ms. */

import { bucketLength } from "./chart_scale.js";
import { BUCKET_MS } from "./event_counts.js";
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
