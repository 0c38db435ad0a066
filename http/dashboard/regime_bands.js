/** Readings of the regime as spans of time. Pure. */

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
