/** What the event list says where it has no events. Pure. */

import { EMIT } from "../commands.js";
import { MAX_ROWS } from "../event_log.js";
import { clock, count, plural } from "../format.js";

/** How far the store has been searched for this filter. */
function searchedWords({ busy, searched, atBeginning }) {
  if (busy) return "Searching the store…";
  if (searched === null) return "";
  if (atBeginning) return "Searched to the beginning of the store: it has none.";
  return Number.isFinite(searched.backTo) ? `Searched ${plural(searched.rows, "more event")}, back to ${clock(searched.backTo)} UTC: none so far.` : "";
}

/** In the place of the list while it is empty. */
export function emptyWords({ filter, filterText, total, history, state }) {
  if (!filter.empty) return `Nothing matches “${filterText}” among the ${plural(total, "event")} that came while this page was open. ${searchedWords(history)}`.trim();
  if (!Number.isFinite(state.sources.events.at)) return state.link.phase === "live" ? "Reading the latest events…" : "Waiting for the daemon…";
  return `No event has come yet. Publish one: ${EMIT}`;
}

/** In the last row: `{words, act}`. */
export function olderWords(shown, { atBeginning, busy }) {
  if (shown >= MAX_ROWS) return { words: `The list holds ${count(MAX_ROWS)}. Narrow the filter to reach further back.`, act: null };
  if (atBeginning) return { words: "This is the beginning of the store.", act: null };
  return { words: "", act: busy ? "Loading…" : "Load older events" };
}
