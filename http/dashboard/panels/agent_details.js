/** One agent as it is now: its state, its beats, its newest events as they come. */

import { agentCondition, errorWords, seenUntil } from "../agent_state.js";
import { linkState } from "../announcer.js";
import { agentActs, mountActs } from "./acts.js";
import { doctorCommand } from "../commands.js";
import { copyButton, fact, h, pick, setHidden, setSign, setText, sign } from "../dom.js";
import { toEvent } from "../event.js";
import { unreadable } from "../faults.js";
import { age, compact, duration, moment, plural } from "../format.js";
import { agentDay, agentLogs } from "./agent_past.js";
import { eventLinks } from "./event_row.js";
import { spark } from "./panel.js";

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
