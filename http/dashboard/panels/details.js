/** The side panel: one event with its payload as a tree, or one agent with its latest events. Not modal. */

import { announce, copy, copyButton, h, sign } from "../dom.js";
import { toEvent } from "../event_log.js";
import { age, clockMs, duration, moment, NONE } from "../format.js";
import { jsonTree } from "../json_tree.js";
import { agentCondition, seenUntil } from "../store.js";

const LATEST = 20;

function pair(term, ...value) {
  return [h("dt", {}, term), h("dd", { class: "figure" }, ...value)];
}

function pickWord(label, title, onClick) {
  return h("button", { type: "button", class: "quiet", title, on: { click: onClick } }, label);
}

async function copyPath(path, element) {
  const done = await copy(path);
  element.classList.toggle("copied", done);
  announce(done ? `Copied ${path}` : "Copying is not allowed here");
  setTimeout(() => element.classList.remove("copied"), 900);
}

export function mountDetails(root, { state, api, now, onFilter, onOpenEvent, onMove, onClose }) {
  let shown = 0;

  function frame(kind, title, ...body) {
    shown += 1;
    const close = h("button", { type: "button", class: "quiet close", "aria-label": "Close details", on: { click: hide } }, "Close");
    const moves = kind === "Event"
      ? [pickWord("Newer", "k", () => onMove(-1)), pickWord("Older", "j", () => onMove(1))] : [];
    root.replaceChildren(
      h("div", { class: "panel-head" }, h("h2", {}, kind), h("span", { class: "spacer" }), ...moves, close),
      h("div", { class: "panel-body", tabindex: 0 }, h("h3", { class: "details-title" }, title), ...body));
    root.hidden = false;
    document.body.dataset.details = kind.toLowerCase();
    return shown;
  }

  function hide() {
    if (root.hidden) return;
    root.hidden = true;
    shown += 1;
    delete document.body.dataset.details;
    onClose();
  }

  function payloadBox(event, turn) {
    const box = h("div", { class: "payload" });
    const fill = (payload) => box.replaceChildren(
      h("div", { class: "payload-head" }, h("h4", {}, "Payload"), copyButton("Copy JSON", () => JSON.stringify(payload, null, 2))),
      jsonTree(payload, "data", copyPath));
    if (event.payload !== undefined) fill(event.payload);
    else {
      box.append(h("p", { class: "empty" }, "A large payload: reading it…"));
      api.event(event.id).then(
        (answer) => turn() && fill(answer.event?.payload),
        (error) => turn() && box.replaceChildren(h("p", { class: "fault" }, `Not readable: ${error.message}`)));
    }
    return box;
  }

  function showEvent(event) {
    const ahead = shown + 1;
    const local = Number.isFinite(event.ts) ? new Date(event.ts).toLocaleString() : NONE;
    const source = event.source
      ? pickWord(event.source, "show only what this source sent", () => onFilter(`source:${event.source}`)) : "none";
    const correlation = event.payload?.correlation_id;
    frame("Event", event.channel,
      h("dl", { class: "facts" },
        ...pair("Received", h("span", { title: `here: ${local}` }, `${moment(event.ts, now()).replace(/\d\d:\d\d:\d\d/, clockMs(event.ts))}, ${age(now() - event.ts)} ago`)),
        ...pair("Source", source),
        ...pair("Severity", event.severity),
        ...pair("Id", h("span", {}, `${event.id} `), copyButton("copy", () => String(event.id))),
        ...(typeof correlation === "string" ? pair("Belongs to", pickWord(correlation, "show all with this correlation id", () => onFilter(`data.correlation_id=${correlation}`))) : [])),
      h("div", { class: "acts" }, pickWord("Only this topic", event.channel, () => onFilter(event.channel)), pickWord("Without this topic", event.channel, () => onFilter(`-${event.channel}`))),
      payloadBox(event, () => shown === ahead));
  }

  function latestEvents(agent, turn) {
    const list = h("ul", { class: "latest" }, h("li", { class: "empty" }, "Reading its latest events…"));
    api.events({ source: agent.id, limit: LATEST }).then((page) => {
      if (!turn()) return;
      const events = (page.events ?? []).map((row) => toEvent(row));
      list.replaceChildren(...events.map((event) => h("li", {}, h("button", { type: "button", on: { click: () => onOpenEvent(event) } },
        h("span", { class: "figure" }, clockMs(event.ts)), h("b", {}, event.channel), h("span", {}, event.preview)))));
      if (events.length === 0) list.append(h("li", { class: "empty" }, "Nothing of it is stored."));
    }, (error) => turn() && list.replaceChildren(h("li", { class: "fault" }, `Not readable: ${error.message}`)));
    return list;
  }

  function showAgent(agent) {
    const ahead = shown + 1;
    const condition = agentCondition(agent, seenUntil(state, now()));
    const optional = (term, value) => (value ? pair(term, String(value)) : []);
    const title = h("span", {}, sign(condition), ` ${agent.name}`);
    frame("Agent", title,
      h("dl", { class: "facts" },
        ...pair("State", `${condition}${agent.status && agent.status !== condition ? ` (says ${agent.status})` : ""}`),
        ...pair("Id", agent.id), ...pair("Group", agent.group), ...optional("Kind", String(agent.kind ?? "").replace("_", " ")), ...optional("Version", agent.version),
        ...pair("Last beat", Number.isFinite(agent.beatAt) ? `${moment(agent.beatAt, now())}, ${age(now() - agent.beatAt)} ago` : "never"),
        ...pair("Expected", `every ${duration(agent.intervalMs)}`), ...optional("Last error", agent.last_error)),
      h("div", { class: "acts" }, pickWord("Show its events in the list", "filter by source", () => onFilter(`source:${agent.id}`)),
        copyButton("Copy as command", () => `orc doctor agent ${agent.id}`)),
      h("h4", {}, `Its latest events`), latestEvents(agent, () => shown === ahead));
  }

  return { showEvent, showAgent, hide, get open() { return !root.hidden; } };
}
