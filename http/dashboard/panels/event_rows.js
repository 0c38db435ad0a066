/** The event list as it is drawn: a list of any length that draws only the rows in sight, its rows, and what is said where there are none. */

import { EMIT } from "../commands.js";
import { button, h, setAttr, setHidden, setSign, setText, sign } from "../dom.js";
import { MAX_ROWS } from "../event_log.js";
import { clock, clockMs, count, plural } from "../format.js";

/** Rows drawn beyond each edge, so that a quick scroll shows no hole. */
const MARGIN = 8;

export class VirtualList {
  #pool = [];
  #spacer = h("div", { class: "vl-spacer", role: "presentation" });
  #rowPx = 28;
  #length = 0;
  /** Whether the list starts at its bottom, and stays there as it grows. */
  fromBottom = false;

  /** `make()` gives `{element, bind(index)}`; `onScroll(atStart)` after the person scrolled. */
  constructor(viewport, { make, onScroll }) {
    this.viewport = viewport;
    this.make = make;
    viewport.append(this.#spacer);
    viewport.addEventListener("scroll", () => {
      this.draw(this.#length);
      onScroll(this.atStart);
    }, { passive: true });
    new ResizeObserver(() => this.#measure()).observe(viewport);
  }

  #measure() {
    this.#rowPx = parseFloat(getComputedStyle(this.viewport).getPropertyValue("--row")) || this.#rowPx;
    this.draw(this.#length);
  }

  /** Draw a list of `length` rows as it is scrolled now. */
  draw(length) {
    this.#length = length;
    const height = `${length * this.#rowPx}px`;
    const stays = this.fromBottom && this.atStart;
    if (this.#spacer.style.height !== height) this.#spacer.style.height = height;
    if (stays) this.toStart();
    const first = Math.max(0, Math.floor(this.viewport.scrollTop / this.#rowPx) - MARGIN);
    const inSight = Math.ceil(this.viewport.clientHeight / this.#rowPx) + 2 * MARGIN;
    const last = Math.min(length, first + inSight);
    for (let i = first; i < last; i += 1) this.#place(i - first, i);
    for (let i = Math.max(0, last - first); i < this.#pool.length; i += 1) setAttr(this.#pool[i].element, "hidden", true);
  }

  #place(slot, index) {
    let row = this.#pool[slot];
    if (!row) {
      row = this.make();
      this.#pool[slot] = row;
      this.#spacer.append(row.element);
    }
    setAttr(row.element, "hidden", null);
    const shift = `translateY(${index * this.#rowPx}px)`;
    if (row.element.style.transform !== shift) row.element.style.transform = shift;
    row.bind(index);
  }

  get atStart() {
    const { scrollTop, scrollHeight, clientHeight } = this.viewport;
    return (this.fromBottom ? scrollHeight - clientHeight - scrollTop : scrollTop) < this.#rowPx / 2;
  }

  toStart() {
    this.viewport.scrollTop = this.fromBottom ? this.viewport.scrollHeight : 0;
  }

  /** Scroll just as far as needed to bring a row into sight. */
  reveal(index) {
    const top = index * this.#rowPx;
    const { scrollTop, clientHeight } = this.viewport;
    if (top < scrollTop) this.viewport.scrollTop = top;
    else if (top + this.#rowPx > scrollTop + clientHeight) this.viewport.scrollTop = top + this.#rowPx - clientHeight;
  }
}

const SEVERITY_SIGNS = { info: "info", warning: "late", critical: "down" };
const FAMILIES = new Set(["data", "news", "quant", "strategy", "risk", "heartbeat", "bus", "agent", "runtime"]);

/** Events as a list of buttons that open them. */
export const eventLinks = (events, onOpen) => h("ul", { class: "latest" }, events.map((event) => h("li", {}, button(
  [h("span", { class: "figure" }, clockMs(event.ts)), h("b", {}, event.channel), h("span", {}, event.preview)], () => onOpen(event)))));

/** What a row says where it stands for no event. */
function note(item) {
  if (item.kind === "gap") return [item.words ?? `Events ${count(item.from)} to ${count(item.to)} are not loaded`, "Load"];
  return [item.words, item.act];
}

export function eventRow({ itemAt, isSelected }) {
  const time = h("span", { class: "event-time figure" });
  const shape = sign("info");
  const topic = h("span", { class: "topic" });
  const source = h("span", { class: "event-source" });
  const line = h("span", { class: "event-line" });
  const id = h("span", { class: "event-id figure" });
  const words = h("span", { class: "note-words" });
  const act = h("span", { class: "note-act" });
  const cells = [time, shape, topic, source, line, id];
  const element = h("div", { class: "event", role: "option" }, ...cells, words, act);
  let item = null;

  function bindEvent() {
    setText(time, clockMs(item.ts));
    setSign(shape, SEVERITY_SIGNS[item.severity]);
    setText(topic, item.channel);
    const family = item.type.split(".", 1)[0];
    setAttr(topic, "data-family", FAMILIES.has(family) ? family : "other");
    setAttr(topic, "title", item.channel);
    setText(source, item.source ?? "");
    setAttr(source, "title", item.source);
    setText(line, item.preview);
    setText(id, `#${item.id}`);
    setAttr(element, "data-severity", item.severity);
    setAttr(element, "data-gap", item.type === "bus.gap");
    setAttr(element, "aria-label", `${clockMs(item.ts)}, ${item.severity}, ${item.channel}, ${item.source ?? "no source"}, ${item.preview}`);
  }

  return {
    element,
    bind(index) {
      const next = itemAt(index);
      const selected = isSelected(next);
      setAttr(element, "aria-selected", selected);
      setAttr(element, "id", `event-${next.kind}-${next.id}`);
      if (next === item) return;
      item = next;
      element.item = item;
      const isEvent = item.kind === "event";
      for (const cell of cells) setAttr(cell, "hidden", isEvent ? null : true);
      setHidden(words, isEvent);
      setAttr(element, "data-kind", item.kind);
      if (isEvent) {
        setHidden(act, true);
        bindEvent();
        return;
      }
      const [say, way] = note(item);
      setText(words, say);
      setText(act, way ?? "");
      setHidden(act, !way);
      setAttr(element, "data-gap", item.kind === "gap");
      setAttr(element, "aria-label", [say, way].filter(Boolean).join(": "));
    },
  };
}

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
