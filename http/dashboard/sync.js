/**
 * Keeps the state true by REST: the snapshot, what the socket missed, and what it does not send.
 *
 * While the link lives, little is asked (about five counted calls a minute); while it is lost the
 * page polls (about twenty). The budget in api.js holds either way.
 */

import { toEvent } from "./event_log.js";
import * as store from "./store.js";

const PAGE = 200;
/** Pages read to close a hole; a larger one becomes a gap row with a button. */
const CATCH_UP_PAGES = 3;
/** Left for the person's own clicks when gaps are filled by themselves. */
const SPARE_CALLS = 8;
const LOADED_KEY = "orchestrator.loaded";
const RELOAD_MS = 30_000;

/** How often each is read, in ms: with the link, and without it. */
const EVERY = {
  ready: [10_000, 10_000],
  killswitch: [30_000, 5_000],
  agents: [60_000, 20_000],
  actors: [20_000, 30_000],
  regime: [120_000, 30_000],
  events: [Infinity, 6_000],
};
/** A page that nobody sees asks this much less. */
const HIDDEN_FACTOR = 4;
/** A prompt asked for again sooner than this waits. */
const SOONEST_MS = 5_000;

const APPLY = {
  ready: store.applyReady,
  killswitch: store.applyKillswitch,
  agents: store.applyAgents,
  actors: store.applyActors,
  regime: store.applyRegime,
};

export class Sync {
  atBeginning = false;
  busy = false;
  #started = new Map();
  #running = new Set();
  #due = new Map();
  #catching = false;

  constructor({ state, log, api, now, changed }) {
    Object.assign(this, { state, log, api, now, changed });
  }

  /** Read one of the sources now; failures are noted in the state. */
  async read(name) {
    if (this.#running.has(name)) return;
    this.#running.add(name);
    this.#started.set(name, Date.now());
    try {
      this.changed(APPLY[name](this.state, await this.api[name](), this.now()));
      this.state.link.polledAt = this.now();
    } catch (error) {
      if (!error.spared) this.changed(store.applyFailure(this.state, name, error.message));
    } finally {
      this.#running.delete(name);
    }
  }

  /** Read it again soon; many wishes in a short time are one call. */
  soon(name, delayMs = 300) {
    if (this.#due.has(name)) return;
    const free = name === "killswitch" || name === "ready";
    const earliest = free ? 0 : (this.#started.get(name) ?? 0) + SOONEST_MS - Date.now();
    this.#due.set(name, setTimeout(() => {
      this.#due.delete(name);
      this.read(name);
    }, Math.max(delayMs, earliest)));
  }

  async start() {
    const reloaded = loadedJustNow();
    this.api.health().then((body) => this.changed(store.applyHealth(this.state, body)), () => {});
    await Promise.all([...Object.keys(APPLY).map((name) => this.read(name)), this.#firstPage()]);
    if (reloaded) return;
    await Promise.all([this.regimeHistory(), this.#beatHistory()]);
  }

  /** Once a second: read whatever has become due. */
  tick() {
    const live = this.state.link.phase === "live" ? 0 : 1;
    const factor = globalThis.document?.hidden ? HIDDEN_FACTOR : 1;
    for (const [name, every] of Object.entries(EVERY)) {
      const started = this.#started.get(name) ?? 0;
      if (Date.now() - started < every[live] * factor) continue;
      if (name === "events") this.#pollEvents();
      else this.read(name);
    }
  }

  #pollEvents() {
    this.#started.set("events", Date.now());
    if (this.log.lastId === 0) this.latest();
    else this.catchUp(Infinity);
  }

  /** A page of events with `rows` ready for the list, or null if it could not be read (noted in the state). */
  async #ask(query) {
    try {
      const page = await this.api.events(query);
      this.state.sources.events = { at: this.now(), error: null };
      this.state.link.polledAt = this.now();
      const events = Array.isArray(page.events) ? page.events : [];
      return { ...page, events, rows: events.map((row) => toEvent(row, sizeOf(row))) };
    } catch (error) {
      if (!error.spared || this.busy) this.changed(store.applyFailure(this.state, "events", error.message));
      return null;
    }
  }

  async #page(query) {
    const page = await this.#ask(query);
    if (page) this.log.addHistory(page.rows);
    this.changed(["events"]);
    return page;
  }

  latest() {
    return this.#page({ limit: PAGE });
  }

  async #firstPage() {
    const page = await this.latest();
    if (page) this.log.seedRates(page.rows, this.now());
  }

  async #beatHistory() {
    const page = await this.#ask({ type: "heartbeat", limit: PAGE });
    this.changed(store.applyBeatHistory(this.state, page?.events ?? []));
  }

  async regimeHistory() {
    const page = await this.#ask({ type: "quant.regime.state", limit: 120 });
    const readings = (page?.events ?? []).map((r) => store.toReading(r.id, r.ts, r.payload));
    this.changed(store.applyRegimeHistory(this.state, readings));
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
    for (let i = 0; i < CATCH_UP_PAGES; i += 1) {
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
    if (pages > CATCH_UP_PAGES || this.api.budget.left(Date.now()) < pages + SPARE_CALLS) return;
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

  /** Further back, of what the filter's topics and source ask for, until something more is shown. */
  async older(filter) {
    if (this.busy) return;
    this.busy = true;
    let shown = 0;
    for (let i = 0; i < CATCH_UP_PAGES && shown === 0 && !this.atBeginning; i += 1) shown = await this.#olderPage(filter);
    this.busy = false;
    this.changed(["events"]);
  }

  async #olderPage(filter) {
    const query = { limit: PAGE };
    if (this.log.firstId !== null) query.before = this.log.firstId;
    if (filter.topics.length) query.type = filter.topics;
    if (filter.sources.length === 1 && !filter.sources[0].includes("*")) query.source = filter.sources[0];
    const page = await this.#ask(query);
    if (page === null) return 1;
    this.atBeginning = page.rows.length === 0;
    return this.log.addOlder(page.rows);
  }
}

/** Whether this tab has been loaded within the last half minute: then what only adorns is not read again. */
function loadedJustNow() {
  try {
    const before = Number(sessionStorage.getItem(LOADED_KEY));
    sessionStorage.setItem(LOADED_KEY, String(Date.now()));
    return Date.now() - before < RELOAD_MS;
  } catch {
    return false;
  }
}

/** About how large a row's payload is; exact where it matters (large ones), cheap where not. */
function sizeOf(row) {
  const { payload } = row;
  return payload !== null && typeof payload === "object" ? JSON.stringify(payload).length : 0;
}
