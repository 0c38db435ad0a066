/** What an event was caused by and what came of it, read when it is asked for. */

import { announce, h, quiet, setBarred, setText } from "../dom.js";
import { nameOf, textIn, toEvent } from "../event.js";
import { plural } from "../format.js";
import { eventLinks } from "./event_row.js";

/** So far before and after it; no index helps the daemon to find a chain. */
const WITHIN_MS = 900_000;
/** Events of a chain that are looked at, and consequences that are listed. */
const LOOKED_AT = 200;
const LISTED = 50;

/** `{cause, consequences, others}` of an event among `rows` of its chain: one or null, a list, and how many remain. */
export function causesOf(event, rows) {
  const [name, causeName] = [nameOf(event), textIn(event.payload, "causation_id")];
  const chain = rows.filter((row) => row.id !== event.id);
  const cause = chain.find((row) => causeName !== null && nameOf(row) === causeName) ?? null;
  const consequences = chain.filter((row) => row !== cause && name !== null && textIn(row.payload, "causation_id") === name);
  return { cause, consequences, others: chain.length - consequences.length - (cause ? 1 : 0) };
}

const span = `${WITHIN_MS / 60_000} min of it`;

/** The words beside what was found: `{cause, consequences, note}`, empty where the list says all. */
export function causeWords(event, { cause, consequences, others }, more) {
  const named = textIn(event.payload, "causation_id");
  return {
    cause: cause ? "" : named ? `It names ${named} as its cause, which is not stored within ${span}.` : "It names no cause.",
    consequences: consequences.length > LISTED ? `The first ${LISTED} of ${consequences.length}:` : consequences.length ? "" : `Nothing within ${span} names it as its cause.`,
    note: `${plural(others, "other event")} of this chain${more ? `; only the first ${LOOKED_AT} within ${span} were looked at` : ""}.`,
  };
}

/** `event` has its payload. */
export function eventCauses(event, { api, onOpenEvent }) {
  const chain = textIn(event.payload, "correlation_id") ?? nameOf(event);
  const found = h("div");
  const read = quiet("Cause and consequences", show);
  setBarred(read, chain === null ? "Its producer names no causes: it has no correlation_id, id or numbering (boot, seq)." : null, "Events of its chain, before and after it");

  async function show() {
    setText(found, "Reading its chain…");
    const [from, to] = [-1, 1].map((sign) => new Date(event.ts + sign * WITHIN_MS).toISOString());
    try {
      const page = await api.events({ correlation_id: chain, from, to, after: 0, order: "asc", limit: LOOKED_AT });
      const result = causesOf(event, page.events.map((row) => toEvent(row)));
      const words = causeWords(event, result, page.has_more);
      const part = (title, text, events) => [h("h4", {}, title), text && h("p", { class: "note" }, text), eventLinks(events, onOpenEvent)];
      found.replaceChildren(h("div", {}, part("Cause", words.cause, result.cause ? [result.cause] : []),
        part("Consequences", words.consequences, result.consequences.slice(0, LISTED)), h("p", { class: "note" }, words.note)));
      announce(`${result.cause ? "Its cause" : "No cause"} and ${plural(result.consequences.length, "consequence")}`);
    } catch (error) {
      setText(found, `Not readable: ${error.message}`);
    }
  }

  return h("div", {}, h("div", { class: "acts" }, read), found);
}
