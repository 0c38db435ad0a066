/** One agent: its state as it is now, its last 24 hours, what it printed, and its newest events as they come. */

import { agentCondition, errorWords, seenUntil } from "../agent_state.js";
import { linkState } from "../announcer.js";
import { Chart } from "../chart.js";
import { doctorCommand } from "../commands.js";
import { copyButton, fact, h, pick, quiet, setHidden, setSign, setText, sign } from "../dom.js";
import { toEvent } from "../event.js";
import { age, clock, clockMs, compact, duration, moment, parseTime, plural, unreadable } from "../format.js";
import { eventLinks } from "./event_rows.js";
import { agentActs, mountActs, spark } from "./acts.js";

const LATEST = 20;

function buildFacts() {
  const list = h("dl", { class: "facts" });
  const labels = { state: "State", id: "Id", group: "Group", kind: "Kind", version: "Version", beat: "Last beat", every: "Expected", error: "Last error", gate: "Gate", run: "Process", asOf: "Known" };
  return { list, facts: Object.fromEntries(Object.entries(labels).map(([key, label]) => [key, fact(list, label)])) };
}

function showFacts(facts, agent, condition, nowMs, asOf) {
  const says = agent.status && agent.status !== condition && !["up", "stopped"].includes(condition) ? ` (says ${agent.status})` : "";
  const optional = (name, value) => facts[name].set(value ? String(value) : "", !value);
  facts.state.set(`${asOf ? "was " : ""}${condition === "stopped" ? "stopped on purpose" : condition}${says}`);
  facts.id.set(agent.id);
  facts.group.set(agent.group);
  optional("kind", String(agent.kind ?? "").replace("_", " "));
  optional("version", agent.version);
  facts.beat.set(Number.isFinite(agent.beatAt) ? `${moment(agent.beatAt, nowMs)}, ${age(nowMs - agent.beatAt)} ago` : "never");
  facts.every.set(`every ${duration(agent.intervalMs)}`);
  optional("error", errorWords(agent, nowMs));
  optional("gate", agent.gate);
  optional("asOf", asOf);
}

/** Its newest events: a page of what is stored, then what comes. */
function latestEvents(id, { api, onOpenEvent }) {
  const element = h("ul", { class: "latest" }, h("li", { class: "empty" }, "Reading its latest events…"));
  let events = null;
  let dirty = false;
  const early = [];
  const take = (more) => {
    const byId = new Map([...more, ...(events ?? [])].map((event) => [event.id, event]));
    events = [...byId.values()].sort((a, b) => b.id - a.id).slice(0, LATEST);
    dirty = true;
  };
  api.events({ source: id, limit: LATEST }).then(
    (page) => take([...(page.events ?? []).map((row) => toEvent(row)), ...early]),
    (error) => element.replaceChildren(h("li", { class: "fault" }, `Not readable: ${error.message}`)));
  return {
    element,
    onEvent(event) {
      if (event.source !== id) return;
      if (events === null) early.push(event);
      else take([event]);
    },
    /** Not while the keyboard is in it: what has the focus must not go. */
    render() {
      if (!dirty || element.contains(document.activeElement)) return;
      dirty = false;
      element.replaceChildren(...eventLinks(events, onOpenEvent).children);
      if (events.length === 0) element.append(h("li", { class: "empty" }, "Nothing of it is stored."));
    },
  };
}

/** "running, process 4711". */
function runWords(row) {
  const parts = [String(row.state).toLowerCase(), row.pid && `process ${row.pid}`, row.stopped_by_operator && "stopped by an operator"];
  return parts.filter(Boolean).join(", ");
}

const USAGE_WORDS = {
  cpu_percent: ["Processor", (n) => `${n.toFixed(1)} % of a core`],
  memory_bytes: ["Memory", (n) => `${compact(n)}B`],
  restarts: ["Restarts", (n) => plural(n, "restart")],
};

/** Processor, memory and restarts of an agent that this daemon runs, each with how it went. */
function usage(list) {
  const rows = Object.entries(USAGE_WORDS).map(([name, [label, words]]) => {
    const line = fact(list, label);
    const [value, picture] = [h("span"), spark()];
    line.value.append(value, picture.element);
    return { name, words, line, value, picture };
  });
  return (row, { series }, nowMs) => rows.forEach(({ name, words, line, value, picture }) => {
    const known = Number.isFinite(row?.[name]);
    line.hide(!known);
    if (!known) return;
    setText(value, words(row[name]));
    picture.set(series.points(`${name} ${row.id}`), nowMs, series.spanMs(nowMs));
  });
}

export function agentDetails(id, { state, api, onFilter, onOpenEvent, onActed }) {
  const shape = sign("unknown");
  const name = h("span", {});
  const { list, facts } = buildFacts();
  const latest = latestEvents(id, { api, onOpenEvent });
  const gone = h("p", { class: "empty", hidden: true }, "It is in the registry no more: retired, or forgotten after its time.");
  const managed = () => (state.managed === null ? undefined : state.managed.get(id) ?? null);
  const showUsage = usage(list);
  const day = agentDay(id, { state, api });
  const commands = mountActs(async (key) => {
    const { agent } = await api.actOnAgent(id, key);
    state.managed?.set(id, agent);
    onActed();
    return `${id}: ${runWords(agent)}.`;
  });
  const logs = agentLogs(id, { api, objection: () => (managed() === null ? "It is not run by this daemon: its output is where it runs." : null) });
  const acts = h("div", { class: "acts" }, pick("Show its events in the list", "filter by source", () => onFilter(`source:${id}`)),
    copyButton("Copy as command", () => doctorCommand(id)));

  function render(nowMs) {
    const agent = state.agents.get(id);
    gone.hidden = agent !== undefined;
    list.hidden = agent === undefined;
    setText(name, ` ${agent?.name ?? id}`);
    latest.render();
    setHidden(commands.element, !agent);
    if (!agent) return;
    commands.render(agentActs(agent, managed(), state));
    const { error } = state.sources.managed;
    facts.run.set(managed() ? runWords(managed()) : error ?? "", !managed() && !error);
    showUsage(managed(), state, nowMs);
    const condition = agentCondition(agent, seenUntil(state, nowMs));
    setSign(shape, condition);
    const blind = linkState(state.link, nowMs) === "lost" ? `not known since ${moment(seenUntil(state, nowMs), nowMs)}` : unreadable(state.sources.agents, nowMs);
    showFacts(facts, agent, condition, nowMs, blind);
    day.render(agent, condition, nowMs);
  }

  return {
    title: h("span", {}, shape, name),
    elements: [gone, list, day.element, acts, commands.element, logs, h("h4", {}, "Its latest events"), latest.element],
    render, close() {},
    onEvent(event) {
      latest.onEvent(event);
      day.onEvent(event);
    },
  };
}

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
