/**
 * Reads stored events for the list: the newest, what the socket missed, and what lies further back.
 *
 * Every search is bounded; `searched` says how far the last one went, and the next one goes on there.
 */

import { toEvent } from "./event.js";
import * as store from "./store.js";

export const PAGE = 200;
/** Pages read at once; a larger hole becomes a gap row with a button, a longer search says how far it went. */
const PAGES_AT_ONCE = 3;
/** Left for the person's own clicks when gaps are filled by themselves. */
const SPARE_CALLS = 8;

export class History {
  /** Whether the last search came to the first event there is. */
  atBeginning = false;
  busy = false;
  /** How far the searches of this filter have looked: `{rows, backTo}` (ms), or null before the first. */
  searched = null;
  #catching = false;

  constructor({ state, log, api, now, changed }) {
    Object.assign(this, { state, log, api, now, changed });
  }

  /** A page of events with `rows` ready for the list, or null if it could not be read (noted in the state). */
  async ask(query) {
    try {
      const page = await this.api.events(query);
      store.answered(this.state, "events", this.now());
      this.state.link.polledAt = this.now();
      const events = Array.isArray(page.events) ? page.events : [];
      return { ...page, events, rows: events.map((row) => toEvent(row, sizeOf(row))) };
    } catch (error) {
      if (!error.spared || this.busy) this.changed(store.applyFailure(this.state, "events", error.message, this.now()));
      return null;
    }
  }

  async #page(query) {
    const page = await this.ask(query);
    if (page) this.log.addHistory(page.rows);
    this.changed(["events"]);
    return page;
  }

  latest() {
    return this.#page({ limit: PAGE });
  }

  /** Read what came after the newest event we hold, up to `cursor`; what is too much becomes a gap row. */
  async catchUp(cursor) {
    if (this.#catching || cursor === this.log.lastId) return;
    this.#catching = true;
    if (cursor < this.log.lastId && (await this.#isGone(this.log.lastId))) this.log.clear();
    if (this.log.lastId === 0) await this.latest();
    else if (cursor > this.log.lastId) await this.#close(cursor);
    this.#catching = false;
    this.changed(["events"]);
  }

  /** Is the newest event that we hold unknown to the daemon? Then it is another store now. */
  async #isGone(id) {
    try {
      await this.api.event(id);
      return false;
    } catch (error) {
      return error.status === 404;
    }
  }

  async #close(cursor) {
    const end = await this.#walk(this.log.lastId, cursor);
    if (end === null) return;
    const page = await this.latest();
    const lowest = Math.min(...(page?.events ?? []).map((row) => row.id));
    if (lowest > end + 1 && Number.isFinite(lowest)) this.log.addGap(end + 1, lowest - 1);
  }

  /** Follow pages from `after` to `upTo`. Null when all is read, else the id that was reached. */
  async #walk(after, upTo) {
    let at = after;
    for (let i = 0; i < PAGES_AT_ONCE; i += 1) {
      const page = await this.#page({ after: at, limit: PAGE, order: "asc" });
      if (page === null) return at;
      at = Math.max(at, ...(page.events ?? []).map((row) => row.id));
      if (!page.has_more || at >= upTo) return null;
    }
    return at;
  }

  /** The server said that it left out `from`–`to` for us. */
  onGap({ from, to, dropped }) {
    if (!Number.isFinite(from) || !Number.isFinite(to)) return;
    const gap = { from, to };
    this.log.addGap(from, to, `${dropped ?? to - from + 1} events came too fast for this page (${from} to ${to})`);
    const pages = Math.ceil((to - from + 1) / PAGE);
    if (pages > PAGES_AT_ONCE || this.api.budget.left(Date.now()) < pages + SPARE_CALLS) return;
    const row = this.log.visible.find((r) => r.kind === "gap" && r.from === gap.from && r.to === gap.to);
    if (row) this.fillGap(row);
  }

  async fillGap(gap) {
    if (this.#catching) return;
    this.#catching = true;
    const end = await this.#walk(gap.from - 1, gap.to);
    this.#catching = false;
    if (end === gap.from - 1) return;
    this.log.closeGap(gap);
    if (end !== null && end < gap.to) this.log.addGap(end + 1, gap.to);
    this.changed(["events"]);
  }

  /** What `filter` admits of a span of time (ms), newest pages first: `{rows, more}`, or null if it could not be read. */
  async range(filter, from, to) {
    const rows = [];
    const span = { ...asked(filter), from: new Date(from).toISOString(), to: new Date(to).toISOString(), limit: PAGE };
    for (let i = 0; i < PAGES_AT_ONCE; i += 1) {
      const page = await this.ask(rows.length ? { ...span, before: rows[0].id } : span);
      if (page === null) return null;
      rows.unshift(...page.rows.toSorted((a, b) => a.id - b.id));
      if (!page.has_more || page.rows.length === 0) return { rows, more: false };
    }
    return { rows, more: true };
  }

  /** Another filter: nothing has been searched for it. */
  forget() {
    this.searched = null;
    this.atBeginning = false;
  }

  /** Further back, of what the filter's topics and source ask for, until something more is shown. */
  async older(filter) {
    if (this.busy) return;
    this.busy = true;
    let shown = 0;
    for (let i = 0; i < PAGES_AT_ONCE && shown === 0 && !this.atBeginning; i += 1) shown = await this.#olderPage(filter);
    this.busy = false;
    this.changed(["events"]);
  }

  async #olderPage(filter) {
    const query = { ...asked(filter), limit: PAGE };
    if (this.log.firstId !== null) query.before = this.log.firstId;
    const page = await this.ask(query);
    if (page === null) return 1;
    this.atBeginning = page.rows.length === 0 || page.has_more === false;
    const { rows, backTo } = this.searched ?? { rows: 0, backTo: Infinity };
    this.searched = { rows: rows + page.rows.length, backTo: Math.min(backTo, ...page.rows.map((row) => row.ts)) };
    return this.log.addOlder(page.rows);
  }
}

/** As much of a filter as the daemon itself can apply. */
function asked({ topics, sources }) {
  const query = topics.length ? { type: topics } : {};
  return sources.length === 1 && !sources[0].includes("*") ? { ...query, source: sources[0] } : query;
}

/** About how large a row's payload is; exact where it matters (large ones), cheap where not. */
function sizeOf(row) {
  const { payload } = row;
  return payload !== null && typeof payload === "object" ? JSON.stringify(payload).length : 0;
}
