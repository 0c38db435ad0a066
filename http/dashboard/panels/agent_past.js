/** What an agent did and printed: its last 24 hours by its changes of state and the daemon's own starts, and its log. */

import { Chart } from "../chart.js";
import { h, quiet, setText } from "../dom.js";
import { toEvent } from "../event.js";
import { clock, clockMs, duration, moment, parseTime, plural } from "../format.js";

export const DAY_MS = 86_400_000;
export const CHANGES = ["agent.online", "agent.offline", "agent.error", "runtime.started", "runtime.stopping"];

const wordOf = ({ type, payload }) => ({ "agent.online": "up", "agent.error": "error" })[type] ?? (payload?.reason === "it said so" ? "stopped" : "down");
/** What it was before its first known change. */
const before = ({ type, payload }) => (type === "agent.online" ? (payload?.reason === "first heartbeat" ? null : "down") : "up");

/**
 * `{bands: [{from, to, key}], known: [[from, to]]}` from `since` to `nowMs`, of events that ascend in time. `condition`
 * is what it is now; while the daemon was stopped nothing is known.
 */
export function dayOf(events, id, { condition, since, nowMs }) {
  const changes = events.filter((event) => event.type.startsWith("agent.") && String(event.payload?.id) === id && event.ts >= since);
  const now = condition === "late" ? "up" : condition;
  const points = [{ ts: since, key: changes.length ? before(changes[0]) : now }, ...changes.map((event) => ({ ts: event.ts, key: wordOf(event) }))];
  const bands = points.map(({ ts, key }, i) => ({ from: ts, to: points[i + 1]?.ts ?? nowMs, key })).filter(({ key, from, to }) => key && key !== "unknown" && to > from);
  const known = [];
  let at = since;
  for (const { type, ts } of events) {
    if (type === "runtime.stopping" && at !== null) known.push([at, ts]);
    if (type === "runtime.stopping") at = null;
    else if (type === "runtime.started") at ??= ts;
  }
  return { bands: at === null ? [] : bands, known: at === null ? known : [...known, [at, nowMs]] };
}

const PATTERNS = { up: "plain", stopped: "dots", halted: "dots" };

export function agentDay(id, { state, api }) {
  const note = h("p", { class: "note" }, "Reading its last 24 hours…");
  const chart = new Chart({ label: "Its last 24 hours", heightPx: 40, onPick: () => {} });
  let [events, since] = [null, NaN];
  api.events({ type: CHANGES, from: new Date(Date.now() - DAY_MS).toISOString(), limit: 200 }).then((page) => {
    events = page.events.map((row) => toEvent(row)).sort((a, b) => a.id - b.id);
    since = page.has_more ? events[0].ts : -Infinity;
  }, (error) => setText(note, `Its last 24 hours are not readable: ${error.message}`));

  return {
    element: h("div", {}, h("h4", {}, "Its last 24 hours"), chart.element, note),
    onEvent: (event) => events && CHANGES.includes(event.type) && events.push(event),
    render(agent, condition, nowMs) {
      if (events === null) return;
      const from = nowMs - DAY_MS;
      const { bands, known } = dayOf(events, id, { condition, since: Math.max(from, since), nowMs });
      setText(note, since > from ? `Hatched: more changes of all agents than one reading holds; known since ${clock(since)} UTC.` : "");
      chart.draw({
        from, to: nowMs, lengthMs: 600_000, known,
        bands: bands.map((band) => ({ ...band, pattern: PATTERNS[band.key] ?? "lines" })),
        marks: state.marks.list.filter((mark) => mark.ts >= from && mark.key === "stop"),
        words(ts, _bucket, mark) {
          const band = bands.find((one) => ts >= one.from && ts < one.to);
          const was = band && known.some(([start, end]) => ts >= start && ts <= end) ? `${band.key}, from ${clock(band.from)} for ${duration(band.to - band.from)}` : "not known";
          return `${clock(ts)} UTC · ${mark ? mark.words : was}`;
        },
      });
    },
  };
}

const LINES = 200;

function heading(answer, beforeCrash) {
  const exit = answer.last_exit;
  const ended = exit ? `ended ${moment(parseTime(exit.at), Date.now())} ${exit.signal ? `by ${exit.signal}` : `with code ${exit.code}`}` : "has not crashed since the daemon started";
  if (beforeCrash) return answer.lines.length ? `${plural(answer.lines.length, "line")} before its last crash (${ended})` : `No lines: it ${ended}.`;
  return answer.lines.length ? `Its last ${plural(answer.lines.length, "line")} of ${answer.total}` : "It has printed nothing since the daemon started.";
}

/** `objection()`: why there is no log to read, in words; null if there is. */
export function agentLogs(id, { api, objection }) {
  const words = h("p", { class: "note", role: "status" });
  const lines = h("pre", { class: "log", tabindex: 0, "aria-label": "Lines that the agent printed", hidden: true });

  async function read(beforeCrash) {
    const barred = objection();
    if (barred !== null) return setText(words, barred);
    setText(words, "Reading…");
    try {
      const answer = await api.agentLogs(id, { limit: LINES, before_crash: beforeCrash });
      setText(words, heading(answer, beforeCrash));
      lines.hidden = answer.lines.length === 0;
      lines.replaceChildren(...answer.lines.map((line) => h("span", { data: { stream: line.stream } }, `${clockMs(parseTime(line.at))}  ${line.text}\n`)));
      lines.scrollTop = lines.scrollHeight;
    } catch (error) {
      setText(words, `Not readable: ${error.message}`);
    }
    return undefined;
  }

  const button = (label, beforeCrash) => quiet(label, () => read(beforeCrash));
  return h("div", {}, h("div", { class: "acts" }, button("Read its log", false), button("Before its last crash", true)), words, lines);
}
