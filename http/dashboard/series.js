/** Figures over time, as this page has seen them: by name, bounded, and how a line of them is drawn. Pure. */

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
