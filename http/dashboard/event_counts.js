/**
 * How many events of each class came when, as far as this page has seen all of them. Pure.
 *
 * Buckets of five seconds over a day. What the page did not see (before it was opened, or while more came
 * than it could take) is not zero but unknown, and said so by `known`.
 */

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
