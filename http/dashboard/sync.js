/**
 * Keeps the state true by REST: the snapshot, what the socket missed, and what it does not send.
 *
 * While the link lives, little is asked (about five counted calls a minute); while it is lost the
 * page polls (about twenty). The budget in api.js holds either way.
 */

import { applyIdentity } from "./api.js";
import { queryOf } from "./time_series.js";
import { PAGE } from "./history.js";
import { MARKED_TYPES } from "./event.js";
import { keep, stored } from "./storage.js";
import * as store from "./store.js";
import * as system from "./system.js";

const RELOAD_MS = 30_000;

/** What is said of trading holds for 5 s (trading.js): one answer may fail before it does not. */
const PROOF_EVERY_MS = 2_000;

/** How often each is read, in ms: with the link, and without it. */
const EVERY = {
  ready: [10_000, 10_000],
  killswitch: [PROOF_EVERY_MS, PROOF_EVERY_MS],
  agents: [60_000, 20_000],
  actors: [20_000, 30_000],
  regime: [120_000, 30_000],
  histogram: [60_000, 60_000],
  managed: [30_000, 60_000],
  events: [Infinity, 6_000],
  metrics: [5_000, 10_000],
  letters: [20_000, 30_000],
  books: [20_000, 30_000],
};
/** What is only read while it is looked at. */
const OF_SYSTEM = new Set(["metrics", "letters", "books"]);
/** A page in the background asks this much less, but for the stop: its title and icon are still looked at. */
const HIDDEN_FACTOR = 4;
const DAY_MS = 86_400_000;
/** What failed is read again after this, unless the daemon said when. */
const RETRY_MS = 5_000;
/** A prompt asked for again sooner than this waits. */
const SOONEST_MS = 5_000;

const APPLY = {
  ready: store.applyReady,
  killswitch: store.applyKillswitch,
  agents: store.applyAgents,
  actors: system.applyActors,
  regime: store.applyRegime,
  histogram: store.applyHistogram,
  managed: system.applyManaged,
  metrics: system.applyMetrics,
  letters: system.applyLetters,
  books: system.applyBooks,
};

export class Sync {
  #started = new Map();
  #running = new Set();
  #due = new Map();

  constructor({ state, log, api, history, now, changed }) {
    Object.assign(this, { state, log, api, history, now, changed });
  }

  /** Read one of the sources now; failures are noted in the state. */
  async read(name) {
    if (this.#running.has(name)) return;
    this.#running.add(name);
    this.#started.set(name, Date.now());
    try {
      this.changed(APPLY[name](this.state, await this.api[name](this.#query(name)), this.now()));
      this.state.link.polledAt = this.now();
    } catch (error) {
      this.#retryIn(name, error.retryAfterMs || RETRY_MS);
      if (!error.spared) this.changed(store.applyFailure(this.state, name, error.message, this.now()));
    } finally {
      this.#running.delete(name);
    }
  }

  #query(name) {
    return name === "histogram" ? queryOf(this.state.axis, this.now()) : undefined;
  }

  /** What failed is due again sooner than what answered. */
  #retryIn(name, waitMs) {
    const every = EVERY[name][this.state.link.phase === "live" ? 0 : 1];
    if (waitMs < every) this.#started.set(name, Date.now() - every + waitMs);
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
    this.whoAmI();
    await Promise.all([...Object.keys(APPLY).filter((name) => this.#isLookedAt(name)).map((name) => this.read(name)), this.#firstPage()]);
    await Promise.all([this.#marks(), this.#agentHistory("agent.offline")]);
    if (reloaded) return;
    await Promise.all([this.regimeHistory(), this.#agentHistory("heartbeat")]);
  }

  /** Who we are to the daemon; asked at the start and when something was refused. */
  whoAmI() {
    return this.api.whoami().then((body) => this.changed(applyIdentity(this.state.access, body)), () => {});
  }

  /** Once a second: read whatever has become due. */
  tick() {
    if (this.state.access.role === "asked") return;
    const live = this.state.link.phase === "live" ? 0 : 1;
    const factor = globalThis.document?.hidden ? HIDDEN_FACTOR : 1;
    for (const [name, every] of Object.entries(EVERY)) {
      const started = this.#started.get(name) ?? 0;
      const lacking = name === "histogram" && this.state.axis.stored === null && this.state.sources.histogram.error === null;
      if (!this.#isLookedAt(name)) continue;
      if (Date.now() - started < (lacking ? RETRY_MS : every[live] * (name === "killswitch" ? 1 : factor))) continue;
      if (name === "events") this.#pollEvents();
      else this.read(name);
    }
  }

  #isLookedAt(name) {
    return !OF_SYSTEM.has(name) || this.state.place === "system";
  }

  #pollEvents() {
    this.#started.set("events", Date.now());
    if (this.log.lastId === 0) this.history.latest();
    else this.history.catchUp(Infinity);
  }

  async #firstPage() {
    const page = await this.history.latest();
    if (page) this.log.counts.startAt(page.rows.length ? Math.min(...page.rows.map((row) => row.ts)) : this.now());
  }

  async #agentHistory(type) {
    const page = await this.history.ask({ type, limit: PAGE });
    this.changed(store.applyAgentHistory(this.state, page?.events ?? []));
  }

  /** Readings of the regime before those that are known, a page at a time. */
  async regimeHistory() {
    const before = this.state.regimeHistory[0]?.id;
    const page = await this.history.ask({ type: "quant.regime.state", limit: PAGE, ...(before ? { before } : {}) });
    if (page === null) return;
    const readings = page.events.map((r) => store.toReading(r.id, r.ts, r.payload));
    this.state.regimeComplete = !page.has_more;
    this.changed(store.applyRegimeHistory(this.state, readings));
  }

  /** Stops, gaps and restarts of the last day, as far as one page holds them. */
  async #marks() {
    const from = this.now() - DAY_MS;
    const page = await this.history.ask({ type: MARKED_TYPES, from: new Date(from).toISOString(), limit: PAGE });
    if (page === null) return;
    const since = page.has_more ? Math.min(...page.rows.map((row) => row.ts)) : from;
    this.changed(store.applyMarks(this.state, page.rows, since));
  }
}

/** Whether this tab has been loaded within the last half minute: then what only adorns is not read again. */
function loadedJustNow() {
  const before = Number(stored("sessionStorage", "loaded"));
  keep("sessionStorage", "loaded", String(Date.now()));
  return Date.now() - before < RELOAD_MS;
}
