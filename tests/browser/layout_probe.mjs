/** Runs inside the page: is what must never be cut wholly to be seen, whatever else the header has to say? */

const WORDS = [
  { status: "inactive" },
  { status: "active", trips: [{ level: "halt", scope: "all", reason: "fat finger on AAPL ".repeat(9), triggered_by: "anna", trip_id: "t", at: "2026-01-31T10:02:00.000Z" }] },
  { status: "active", trips: [{ level: "reduce", scope: "agent:execution-europe-1" }, { level: "reduce", scope: "group:b" }] },
  { status: "unknown", message: "the latch cannot be read" },
];
const CONDITIONS = { up: {}, late: { liveness: "late" }, down: { liveness: "down", is_alive: false }, unknown: { liveness: "unknown" } };
// Figures are tabular: of three digits, all are as wide.
const bits = (n, count) => Array.from({ length: count }, (_, i) => Boolean(n & (1 << i)));

/** Each combination of bad checks with each of the four counts at none or at 111, with each of the state's words, proven and not. */
function* states(store, nowMs) {
  const crowds = Array.from({ length: 16 }, (_, n) => {
    const [up, late, down, unknown] = bits(n, 4);
    const kinds = Object.entries({ up, late, down, unknown }).flatMap(([kind, many]) => (many ? Array(111).fill(kind) : []));
    const state = store.createState();
    const rows = kinds.map((kind, i) => ({ id: `${kind}${i}`, last_beat: new Date(nowMs).toISOString(), status: "active", liveness: "up", ...CONDITIONS[kind] }));
    store.applyAgents(state, { agents: rows }, nowMs);
    return state.agents;
  });
  for (let bad = 0; bad < 8; bad += 1) {
    const [link, bus, journal] = bits(bad, 3);
    for (const [crowd, agents] of crowds.entries()) {
      const state = store.createState({ hasToken: true });
      Object.assign(state, { instance: "a-desk-with-a-long-name", env: crowd % 2 ? "live" : "development", agents });
      state.sources.agents.at = nowMs;
      Object.assign(state.link, { phase: link ? "lost" : "live", since: nowMs - 3_600_000, lastFrameAt: nowMs, roundTripMs: 1234 });
      store.applyReady(state, { checks: { redis: { ok: !bus, message: "connection refused", latency_ms: 12.3 }, postgres: { ok: !journal, latency_ms: 45.6 }, journal: { ok: !journal } } }, nowMs);
      const saidAt = (bad + crowd) % 3 ? nowMs : nowMs - 600_000;
      store.applyKillswitch(state, { ...WORDS[(bad + crowd) % WORDS.length], timestamp: new Date(saidAt).toISOString() }, saidAt);
      yield { state, name: `bad ${bad}, crowd ${crowd}` };
    }
  }
}

const inside = (inner, outer) => inner.left >= outer.left - 0.5 && inner.right <= outer.right + 0.5 && inner.top >= outer.top - 0.5 && inner.bottom <= outer.bottom + 0.5;

/** What is wrong with `element` as it is shown; null if nothing is. */
function fault(element) {
  const box = element.getBoundingClientRect();
  const screen = { left: 0, top: 0, right: innerWidth, bottom: innerHeight };
  if (box.width === 0 || !inside(box, screen)) return `outside: ${JSON.stringify(box)}`;
  if (element.scrollWidth > Math.ceil(box.width) + 1) return "its words are cut";
  for (let parent = element.parentElement; parent; parent = parent.parentElement) {
    if (getComputedStyle(parent).overflow !== "visible" && parent !== document.body && !inside(box, parent.getBoundingClientRect())) return `cut by ${parent.className}`;
  }
  for (const [x, y] of [[box.left + 2, box.top + box.height / 2], [box.right - 2, box.top + box.height / 2]]) {
    const top = document.elementFromPoint(x, y);
    if (!element.contains(top) && !top?.contains(element)) return `covered by ${top?.className}`;
  }
  return null;
}

const lines = (element) => Math.round(element.getBoundingClientRect().height / parseFloat(getComputedStyle(element).lineHeight));

/** Draw every state with a header of our own; returns what was wrong, at most ten. */
export async function probe(nowMs) {
  const [store, { mountHeader }] = await Promise.all([import("/dashboard/store.js"), import("/dashboard/panels/header.js")]);
  const wrong = [];
  let seen = 0;
  for (const { state, name } of states(store, nowMs)) {
    const strip = document.getElementById("strip");
    strip.replaceChildren();
    const nothing = () => {};
    mountHeader(strip, { state, onStop: nothing, onHelp: nothing, onAccount: nothing, themes: { word: () => "auto", next: nothing } }).render(nowMs);
    const stop = innerWidth < 720 ? document.querySelector(".places .stop") : document.getElementById("stop");
    const words = document.querySelector(".trading strong");
    for (const element of [words, stop]) {
      const found = fault(element) ?? (lines(words) > (innerWidth < 720 ? 2 : 1) ? "too many lines" : null);
      if (found) wrong.push(`${innerWidth} px, ${name}, “${element.textContent}”: ${found}`);
      seen += 1;
    }
    if (document.documentElement.scrollWidth > innerWidth) wrong.push(`${innerWidth} px, ${name}: the page scrolls sideways`);
  }
  return { seen, wrong: wrong.slice(0, 10) };
}
