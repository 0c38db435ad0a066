/**
 * What the event list holds: bounded, filtered, sampled under load, freezable. Pure: `now` comes in.
 *
 * Two rings keep the newest events whole (heartbeats apart, so that they push nothing out); `rows`
 * are those that the filter lets through. Above `SAMPLE_ABOVE` matching events a second only one in
 * N goes into `rows` (warnings always do); a frozen list shows the ring unsampled.
 */

import { EventCounts } from "./time_series.js";

/** Rows and kept events; beyond, the oldest go (they can be fetched again). */
export const MAX_ROWS = 2000;
const MAX_BEATS = 400;
/** Matching events per second that a person could still follow; beyond, the list is sampled. */
export const SAMPLE_ABOVE = 120;

/** Put `row` in its place in a list that ascends by id; false if that id is there already. */
function insert(list, row) {
  let at = list.length;
  while (at > 0 && list[at - 1].id > row.id) at -= 1;
  if (at > 0 && list[at - 1].id === row.id && list[at - 1].kind === row.kind) return false;
  if (at === list.length) list.push(row);
  else list.splice(at, 0, row);
  return true;
}

/** Cut the oldest in lumps (shifting on each event would move the whole list each time); true if it cut. */
function trim(list, limit) {
  const full = list.length > limit + limit / 8;
  if (full) list.splice(0, list.length - limit);
  return full;
}

export class EventLog {
  rows = [];
  lastId = 0;
  total = 0;
  hiddenBeats = 0;
  sampling = 1;
  /** What came when, of all that was kept. */
  counts = new EventCounts();
  #recent = [];
  #beats = [];
  #found = [];
  #floor = Infinity;
  #filter = { test: () => true };
  #showBeats = false;
  #frozen = null;
  #held = false;
  #newWhileFrozen = 0;
  #second = 0;
  #matchedInSecond = 0;
  #turn = 0;

  /** Replace the filter (`test(event)`), and say whether heartbeats are shown. */
  setFilter(filter, showBeats) {
    this.#filter = filter;
    this.#showBeats = showBeats;
    this.#forgetOlder();
    this.rows = this.#matching();
    if (this.#frozen) this.#frozen = this.rows.slice();
    this.sampling = 1;
    this.#matchedInSecond = 0;
  }

  #matching() {
    let source = this.#showBeats ? [...this.#recent, ...this.#beats] : this.#recent;
    if (this.#found.length) source = [...new Map([...this.#found, ...source].map((row) => [`${row.kind}${row.id}`, row])).values()];
    if (source !== this.#recent) source.sort((a, b) => a.id - b.id);
    return source.filter((row) => row.kind === "gap" || this.#lets(row)).slice(-MAX_ROWS);
  }

  #lets(event) {
    return (this.#showBeats || event.type !== "heartbeat") && this.#filter.test(event);
  }

  /** Older events are only in the list while they join on to the rest. */
  #forgetOlder() {
    this.#found = [];
    this.#floor = Infinity;
  }

  /** Take a live event. Returns false for a duplicate. */
  add(event, nowMs, { replaces = false } = {}) {
    if (replaces) return this.#replace(event);
    this.tick(nowMs);
    if (!this.#keep(event)) return false;
    if (event.type === "heartbeat" && !this.#showBeats) {
      this.hiddenBeats += 1;
      return true;
    }
    if (this.#filter.test(event)) this.#show(event);
    return true;
  }

  /** Take a page of events that were missed: never sampled, never counted as new. */
  addHistory(events) {
    for (const event of events) {
      if (!this.#keep(event)) continue;
      if (event.type === "heartbeat" && !this.#showBeats) this.hiddenBeats += 1;
      else if (this.#filter.test(event)) insert(this.rows, event);
    }
    if (this.#frozen && !this.#held) this.#frozen = this.#matching();
  }

  /** Take a page from further back; returns how many of it are shown. */
  addOlder(events) {
    const before = this.visible.length;
    this.#found.push(...events);
    this.#floor = Math.min(this.#floor, ...events.map((event) => event.id));
    this.rows = this.#matching();
    if (this.#frozen) this.#frozen = this.rows.slice();
    return this.visible.length - before;
  }

  /** Note that the ids `from`–`to` are not in the list. */
  addGap(from, to, words) {
    const before = this.#recent.findLast((row) => row.kind === "event" && row.id < from);
    const after = this.#recent.find((row) => row.kind === "event" && row.id > to);
    this.counts.miss(before?.ts ?? -Infinity, after?.ts ?? before?.ts ?? -Infinity);
    const gap = { kind: "gap", id: to, from, to, words, severity: "warning", ts: NaN };
    insert(this.#recent, gap);
    insert(this.rows, gap);
  }

  /** The gap has been filled, in whole or up to `upTo`. */
  closeGap(gap) {
    const other = (row) => row !== gap;
    this.#recent = this.#recent.filter(other);
    this.rows = this.rows.filter(other);
    if (this.#frozen) this.#frozen = this.#frozen.filter(other);
  }

  #keep(event) {
    const beat = event.type === "heartbeat";
    if (!insert(beat ? this.#beats : this.#recent, event)) return false;
    if (trim(beat ? this.#beats : this.#recent, beat ? MAX_BEATS : MAX_ROWS) && !beat) this.#forgetOlder();
    this.counts.add(event);
    this.lastId = Math.max(this.lastId, event.id);
    this.total += 1;
    return true;
  }

  #show(event) {
    this.#matchedInSecond += 1;
    this.#turn += 1;
    if (this.#frozen) this.#newWhileFrozen += 1;
    if (event.severity === "info" && this.#turn % this.sampling !== 0) return;
    insert(this.rows, event);
    trim(this.rows, MAX_ROWS);
  }

  #replace(event) {
    for (const list of [this.#recent, this.#beats, this.rows, this.#frozen ?? []]) {
      const at = list.findIndex((row) => row.id === event.id && row.kind === "event");
      if (at >= 0) list[at] = event;
    }
    return true;
  }

  /** Let time pass, and settle the sampling (at least once a second, also when nothing comes). */
  tick(nowMs) {
    const second = Math.floor(nowMs / 1000);
    if (second <= this.#second) return;
    const passed = second - this.#second;
    const perSecond = this.#matchedInSecond / passed;
    this.sampling = perSecond > SAMPLE_ABOVE ? Math.ceil(perSecond / (SAMPLE_ABOVE / 2)) : 1;
    this.#matchedInSecond = 0;
    this.#second = second;
  }

  /** Show these instead (ascending by id), until `thaw()`: what there was at another time. */
  hold(events) {
    this.#frozen = events.filter((event) => this.#lets(event));
    this.#held = true;
    this.#newWhileFrozen = 0;
  }

  /** Stop the list where it is; what comes is counted, and kept. */
  freeze() {
    if (this.#frozen) return;
    this.#frozen = this.#matching();
    this.#newWhileFrozen = 0;
  }

  thaw() {
    this.#frozen = null;
    this.#held = false;
    this.#newWhileFrozen = 0;
    this.rows = this.#matching();
  }

  get frozen() {
    return this.#frozen !== null;
  }

  get waiting() {
    return this.#newWhileFrozen;
  }

  /** What to draw, ascending by id. */
  get visible() {
    return this.#frozen ?? this.rows;
  }

  /** The lowest id that was read, for paging backwards; null if there is none. */
  get firstId() {
    const first = this.visible.find((row) => row.kind === "event");
    const lowest = Math.min(first ? first.id : Infinity, this.#floor);
    return Number.isFinite(lowest) ? lowest : null;
  }

  /** Forget all (another instance answers now). */
  clear() {
    [this.rows, this.#recent, this.#beats] = [[], [], []];
    this.#forgetOlder();
    this.counts.clear();
    this.lastId = 0;
    this.hiddenBeats = 0;
    this.thaw();
  }
}
