/** One event: what it is, its payload as a tree, and the ways from it to others. */

import { announce, copy, copyButton, fact, h, pick } from "../dom.js";
import { age, clockMs, moment, NONE } from "../format.js";
import { jsonTree } from "../json_tree.js";

async function copyPath(path, element) {
  const done = await copy(path);
  element.classList.toggle("copied", done);
  announce(done ? `Copied ${path}` : "Copying is not allowed here");
  setTimeout(() => element.classList.remove("copied"), 900);
}

/** The payload; a large one is read again, since the page does not keep it. */
function payloadBox(event, api, isOpen) {
  const box = h("div", { class: "payload" });
  const fill = (payload) => box.replaceChildren(
    h("div", { class: "payload-head" }, h("h4", {}, "Payload"), copyButton("Copy JSON", () => JSON.stringify(payload, null, 2))),
    jsonTree(payload, "data", copyPath));
  if (event.payload !== undefined) fill(event.payload);
  else {
    box.append(h("p", { class: "empty" }, "A large payload: reading it…"));
    api.event(event.id).then(
      (answer) => isOpen() && fill(answer.event?.payload),
      (error) => isOpen() && box.replaceChildren(h("p", { class: "fault" }, `Not readable: ${error.message}`)));
  }
  return box;
}

function buildFacts(event, onFilter) {
  const list = h("dl", { class: "facts" });
  const received = fact(list, "Received");
  const add = (label, ...value) => fact(list, label).value.append(...value);
  add("Source", event.source ? pick(event.source, "show only what this source sent", () => onFilter(`source:${event.source}`)) : "none");
  add("Severity", event.severity);
  add("Id", h("span", {}, `${event.id} `), copyButton("copy", () => String(event.id)));
  const correlation = event.payload?.correlation_id;
  if (typeof correlation === "string") add("Belongs to", pick(correlation, "show all with this correlation id", () => onFilter(`data.correlation_id=${correlation}`)));
  received.value.title = `here: ${Number.isFinite(event.ts) ? new Date(event.ts).toLocaleString() : NONE}`;
  return { list, render: (nowMs) => received.set(`${moment(event.ts, nowMs).replace(/\d\d:\d\d:\d\d/, clockMs(event.ts))}, ${age(nowMs - event.ts)} ago`) };
}

export function eventDetails(event, { api, onFilter }) {
  let open = true;
  const facts = buildFacts(event, onFilter);
  const acts = h("div", { class: "acts" }, pick("Only this topic", event.channel, () => onFilter(event.channel)),
    pick("Without this topic", event.channel, () => onFilter(`-${event.channel}`)));
  return {
    elements: [facts.list, acts, payloadBox(event, api, () => open)],
    render: facts.render,
    close: () => { open = false; },
  };
}
