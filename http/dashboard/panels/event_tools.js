/** What can be done with the event list: turned round, saved as JSON Lines, kept as a view in this browser; and a test event. */

import { deskWords, objectionTo } from "../api.js";
import { button, closeOutside, h, quiet, setAttr, setBarred, setText } from "../dom.js";
import { clock, duration, plural } from "../format.js";
import { addView, keep, NAME_CHARS, savedViews, saveViews, stored } from "../storage.js";
import { field, makeDialog, outcomeLine } from "./acts.js";

/** Events that are written before the page is let breathe, and large payloads that are read again for one file. */
const LOT = 200;
const LARGE_READ = 10;

/** An event as a line, with the fields of `GET /bus/events`; a payload that the page has not is left out, never empty. */
export const lineOf = ({ id, type, source, ts, payload }) => `${JSON.stringify({ id, type, source, ts: new Date(ts).toISOString(), payload })}\n`;

/** What came of it: what is not in the file is said. */
export function exportedWords(name, { events, missing, gaps, sampling }) {
  const not = [missing && `${missing} without their large payloads`, gaps && `${plural(gaps, "gap")} not filled`, sampling > 1 && `only the 1 in ${sampling} that was shown`];
  return [`Exported ${plural(events, "event")} to ${name}`, ...not.filter(Boolean)].join("; ");
}

/** Write what the list shows; `say(words)` tells how far it is, and what came of it. */
export async function exportShown({ state, log, api, say }) {
  const shown = [...log.visible];
  const sampling = log.frozen ? 1 : log.sampling;
  const rows = shown.filter((row) => row.kind === "event");
  if (rows.length === 0) return say("Nothing is listed that could be exported");
  const lines = [];
  let [read, missing] = [0, 0];
  for (const [i, row] of rows.entries()) {
    if (i % LOT === 0) {
      say(`Exporting: ${i} of ${plural(rows.length, "event")}…`);
      await new Promise((resolve) => setTimeout(resolve));
    }
    let { payload } = row;
    if (payload === undefined && read++ < LARGE_READ) payload = await api.event(row.id).then(({ event }) => event.payload, () => undefined);
    if (payload === undefined) missing += 1;
    lines.push(lineOf({ ...row, payload }));
  }
  const name = `events-${String(state.instance ?? "daemon").replace(/[^\w.-]+/g, "-")}-${rows.at(-1)?.id ?? 0}.jsonl`;
  const href = URL.createObjectURL(new Blob(lines, { type: "application/x-ndjson" }));
  h("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
  return say(exportedWords(name, { events: rows.length, missing, gaps: shown.length - rows.length, sampling }));
}

/** `onOrder(isNewestLast)`; `shown()` is the view that is looked at, `show(view)` goes to one, `onStored(id)` to an event. */
export function mountEventTools({ state, log, api, say, onOrder, shown, show, onStored }) {
  let isLast = stored("localStorage", "order") === "last";
  const order = quiet("", () => setOrder(!isLast));
  const save = quiet("Export", () => exportShown({ state, log, api, say }), { title: "Save what the list shows as JSON Lines" });
  const views = mountViews({ shown, show });
  const emit = mountEmit({ state, api, onStored });
  const test = quiet("Test event…", emit.open);

  function setOrder(last) {
    isLast = last;
    keep("localStorage", "order", last ? "last" : "first");
    setText(order, `Newest ${last ? "last" : "first"}`);
    setAttr(order, "title", `Press to list the newest ${last ? "first" : "last"}`);
    onOrder(last);
  }

  return { element: h("div", { class: "event-tools" }, order, quiet("Views…", views.open), save, test), setOrder: () => setOrder(isLast),
    render: () => setBarred(test, objectionTo(state.access, "events"), "Store and publish an event of your own") };
}

/** "strategy.* · heartbeats · 10:02:11 to 10:03:00 UTC", or how long the axis is. */
export function viewWords({ filter, heartbeats, spanMs, range }) {
  const when = range ? `${new Date(range.from).toISOString().slice(0, 10)} ${clock(range.from)} to ${clock(range.to)} UTC` : `now, axis of ${duration(spanMs)}`;
  return [filter || "no filter", heartbeats && "heartbeats", when].filter(Boolean).join(" · ");
}

/** `shown()` is what is looked at, `{filter, heartbeats, spanMs, range}`; `show(view)` goes there. */
export function mountViews({ shown, show }) {
  const list = h("ul", { class: "latest" });
  const name = h("input", { id: "view-name", maxlength: NAME_CHARS, autocomplete: "off", required: true });
  const { element: outcome, say } = outcomeLine();
  const what = h("p", { class: "note" });
  const form = h("form", { on: { submit: save } }, field("Keep what is shown now, under a name", name, what), outcome,
    h("div", { class: "acts" }, h("button", { type: "submit" }, "Save"), quiet("Close", () => dialog.close())));
  const dialog = makeDialog("views", "", "Saved views", list, form);
  closeOutside(dialog);

  const row = (view) => h("li", {}, button([h("b", {}, view.name), h("span", {}, viewWords(view))], () => {
    dialog.close();
    show(view);
  }), quiet("Delete", () => {
    saveViews(savedViews().filter((one) => one.name !== view.name));
    draw();
    name.focus();
  }, { "aria-label": `Delete ${view.name}` }));

  function draw() {
    const views = savedViews();
    list.replaceChildren(...(views.length ? views.map(row) : [h("li", { class: "empty" }, "This browser keeps none yet.")]));
    setText(what, viewWords(shown()));
  }

  function save(event) {
    event.preventDefault();
    const objection = addView({ ...shown(), name: name.value.trim() });
    say(objection ?? `Saved as “${name.value.trim()}” in this browser.`, objection ? "failed" : "done");
    draw();
  }

  return { open() {
    say("");
    draw();
    dialog.showModal();
    name.focus();
  } };
}

const PREFIX = "test.";

/** What a test event of this type does. */
export function emitWords(type, where) {
  const heed = type.startsWith(PREFIX) ? "" : ` It does not begin with “${PREFIX}”: agents that listen to ${type || "it"} take it for real.`;
  return `${where}: it is stored for good, and published to all who listen on ${type || "its topic"}.${heed}`;
}

/** The payload that was typed, or why it is none: `{payload, fault}`. */
export function payloadOf(text) {
  try {
    return { payload: JSON.parse(text), fault: null };
  } catch (error) {
    return { payload: null, fault: `The payload is no JSON: ${error.message}` };
  }
}

/** `onStored(id)` opens it. */
export function mountEmit({ state, api, onStored }) {
  const type = h("input", { id: "emit-type", required: true, maxlength: 512, spellcheck: "false", autocomplete: "off", value: `${PREFIX}hello` });
  const payload = h("textarea", { id: "emit-payload", rows: 5, spellcheck: "false" }, '{"note": "from the dashboard"}');
  const effect = h("p", { class: "effect" });
  const { element: outcome, say } = outcomeLine();
  const submit = h("button", { type: "submit" }, "Store and publish it");
  const form = h("form", { on: { submit: send, input: describe } }, effect, field("Topic", type), field("Payload, as JSON", payload), outcome,
    h("div", { class: "acts" }, submit, quiet("Close", () => dialog.close())));
  const dialog = makeDialog("emit", "", "Emit a test event", form);
  closeOutside(dialog);

  function describe() {
    setText(effect, emitWords(type.value.trim(), deskWords(state)));
  }

  async function send(event) {
    event.preventDefault();
    const read = payloadOf(payload.value);
    if (read.fault) return say(read.fault, "failed");
    submit.disabled = true;
    say("Sending…", "busy");
    try {
      const { id } = await api.emit(type.value.trim(), read.payload);
      say(id === null ? "Accepted: it is stored as soon as the daemon can." : `Stored as #${id}, and published.`, "done");
      if (id !== null) outcome.append(" ", quiet("Show it", () => {
        dialog.close();
        onStored(id);
      }));
    } catch (error) {
      say(`Not stored. ${error.message}`, "failed");
    }
    submit.disabled = false;
    return undefined;
  }

  return { open() {
    say("");
    describe();
    dialog.showModal();
    type.focus();
  } };
}
