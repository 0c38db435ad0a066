/** EventBusMonitor: the live list, its filter, pause, gaps, and how fast it goes. */

import { TAIL, tailCommand } from "../commands.js";
import { announce, button, copyButton, h, quiet, setAttr, setHidden, setText, setWords } from "../dom.js";
import { unreadable } from "../faults.js";
import { compileFilter } from "../filter.js";
import { compact, count, plural } from "../format.js";
import { VirtualList } from "../virtual_list.js";
import { mountAsOf, mountTimeline } from "./timeline.js";
import { emptyWords, eventRow, olderWords } from "./event_row.js";

/** `history` reads more; `onSelect(event)` opens one, `onChange()`: the words have changed. */
export function mountEvents(root, { state, log, history, onSelect, onChange, onSpan }) {
  let filterText = "";
  let filter = compileFilter("");
  let showBeats = false;
  let nowMs = NaN;
  let selectedId = null;
  let pauseIsOurs = false;
  let older = { kind: "older", id: 0, words: "", act: null };
  let pressed = null;
  /** What the copied command could not say. */
  let unsaid = "";

  const rate = h("b", { class: "figure" }, "0");
  const rates = h("span", { class: "rate", title: "Events per second, heartbeats included" }, rate, "/s");
  const field = h("input", { type: "search", id: "filter", class: "search wide", spellcheck: "false", autocomplete: "off",
    placeholder: "strategy.*   -data.market.*   source:quotes-1   data.score>=0.8", "aria-label": "Filter the events" });
  const beats = button("Heartbeats", () => setBeats(!showBeats), { class: "toggle" });
  const pause = button("Pause", togglePause, { class: "toggle pause" });
  const command = copyButton("Copy as command", () => asCommand().command, sayUnsaid);
  const status = h("p", { class: "event-status" });
  const asOf = mountAsOf({ state, log, history, onChange: render, onLeave: () => setPause(false) });
  const axis = h("div", { class: "timeline" });
  const clear = quiet("Clear filter", () => setFilter(""));
  const search = quiet("Search the store", searchStore);
  const viewport = h("div", { class: "event-list", role: "listbox", tabindex: 0, "aria-label": "Events, newest first" });
  const empty = h("div", { class: "empty", hidden: true }, h("p"), h("div", { class: "acts" }, search, clear));
  root.append(
    h("div", { class: "panel-head" }, h("h2", { id: "events-title" }, "Events"), rates, field, beats, command, pause),
    axis, asOf.element, status, h("div", { class: "event-frame" }, viewport, empty));
  const timeline = mountTimeline(axis, { state, log, onRange: showRange, onSpan });

  const length = () => log.visible.length + (log.visible.length > 0 ? 1 : 0);
  const itemAt = (index) => log.visible[log.visible.length - 1 - index] ?? older;
  const list = new VirtualList(viewport, {
    make: () => eventRow({ itemAt, isSelected: (item) => item.kind === "event" && item.id === selectedId }),
    onScroll: scrolled,
  });

  function setFilter(text, { fromField = false } = {}) {
    filterText = text;
    filter = compileFilter(text);
    if (!fromField) field.value = text;
    if (filter.wantsHeartbeats && !showBeats) showBeats = true;
    log.setFilter(filter, showBeats);
    list.toTop();
    history.forget();
    unsaid = "";
    asOf.again(filter);
    render();
    onChange();
  }

  function setBeats(shown) {
    showBeats = shown;
    log.setFilter(filter, showBeats);
    render();
    onChange();
  }

  function setPause(paused, { ours = false } = {}) {
    if (paused === log.frozen) {
      pauseIsOurs &&= ours;
      return;
    }
    pauseIsOurs = paused && ours;
    if (!paused) asOf.leave();
    if (paused) log.freeze();
    else {
      log.thaw();
      list.toTop();
    }
    render();
  }

  function togglePause() {
    setPause(!log.frozen);
  }

  /** Scrolling away holds the list still; coming back to the top lets it go. */
  function scrolled(atTop) {
    if (!atTop) setPause(true, { ours: true });
    else if (pauseIsOurs && selectedId === null) setPause(false);
  }

  async function onAct(item) {
    if (item.kind === "gap") await history.fillGap(item);
    else await history.older(filter);
    render();
  }

  async function searchStore() {
    const reading = history.older(filter);
    render();
    await reading;
    render();
  }

  /** List what was between two moments; the filter and the keys work as ever. */
  function showRange(from, to) {
    setPause(true);
    list.toTop();
    asOf.show(filter, from, to);
  }

  function asCommand() {
    return tailCommand(filterText, { url: new URL(".", location.href).href.slice(0, -1), heartbeats: showBeats });
  }

  /** A command that shows more than the list does says so. */
  function sayUnsaid() {
    const words = asCommand().unsaid;
    unsaid = words.length ? `Copied without ${words.map((word) => `“${word}”`).join(", ")}: ${TAIL} has no such filter` : "";
    announce(unsaid || "Copied");
    render();
  }

  function select(item) {
    if (!item || item.kind !== "event") return;
    selectedId = item.id;
    setPause(true, { ours: true });
    onSelect(item);
    render();
  }

  function unselect() {
    selectedId = null;
    if (pauseIsOurs && viewport.scrollTop < 14) setPause(false);
    render();
  }

  /** Select the next (older) or previous (newer) event. */
  function move(step) {
    const rows = log.visible;
    let at = rows.findIndex((row) => row.kind === "event" && row.id === selectedId);
    at = at < 0 ? rows.length - 1 : at - step;
    while (rows[at] && rows[at].kind !== "event") at -= step;
    if (!rows[at]) return step > 0 && !asOf.on ? onAct(older) : undefined;
    select(rows[at]);
    list.reveal(log.visible.length - 1 - log.visible.indexOf(rows[at]));
  }

  viewport.addEventListener("pointerdown", (event) => {
    pressed = event.target.closest(".event")?.item ?? null;
  });
  viewport.addEventListener("click", (event) => {
    const item = pressed ?? event.target.closest(".event")?.item;
    if (item?.kind === "event") select(item);
    else if (item && item.act !== null) onAct(item);
  });
  viewport.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      move(event.key === "ArrowDown" ? 1 : -1);
    } else if (event.key === "Enter") {
      const gap = log.visible.findLast((row) => row.kind === "gap");
      if (gap) onAct(gap);
    }
  });
  field.addEventListener("input", () => setFilter(field.value, { fromField: true }));

  function statusWords(nowMs) {
    const parts = [];
    if (filter.faults.length) parts.push(filter.faults.join("; "));
    if (log.sampling > 1 && !log.frozen) parts.push(`Showing 1 in ${log.sampling}: pause to see all`);
    const shown = log.visible.length;
    if (!filter.empty) parts.push(`${plural(shown, "event")} match`);
    if (!showBeats && log.hiddenBeats > 0) parts.push(`${plural(log.hiddenBeats, "heartbeat")} hidden`);
    if (log.frozen && !asOf.on) parts.push(pauseIsOurs ? "Held still while you read" : "Paused");
    if (unsaid) parts.push(unsaid);
    const fault = unreadable(state.sources.events, nowMs);
    if (fault && state.link.phase !== "lost") parts.push(`History: ${fault}`);
    return parts.join(" · ");
  }

  function showOlder() {
    const next = asOf.on ? { words: "The span begins here.", act: null } : olderWords(log.visible.length, history);
    if (next.words !== older.words || next.act !== older.act) older = { ...older, ...next };
  }

  function render(at) {
    if (at !== undefined) nowMs = at;
    timeline.render(nowMs);
    asOf.render();
    setText(rate, compact(Math.round(log.counts.rate(nowMs))));
    setText(pause, log.frozen ? `Resume${log.waiting ? `: ${count(log.waiting)} new` : ""}` : "Pause");
    setAttr(pause, "aria-pressed", log.frozen);
    setAttr(beats, "aria-pressed", showBeats);
    setWords(status, statusWords(nowMs));
    setAttr(status, "data-sampling", (log.sampling > 1 && !log.frozen) || filter.faults.length > 0);
    const none = log.visible.length === 0;
    setHidden(empty, !none);
    setHidden(clear, filter.empty);
    setHidden(search, filter.empty || history.atBeginning);
    search.disabled = history.busy;
    setText(search, history.searched ? "Search further back" : "Search the store");
    if (none) setText(empty.firstChild, emptyWords({ filter, filterText, total: log.total, history, state }));
    showOlder();
    list.draw(length());
    setAttr(viewport, "aria-activedescendant", selectedId === null ? null : `event-event-${selectedId}`);
  }

  return {
    render, showRange, setFilter, setBeats, togglePause, move, unselect, setPause,
    newest: () => {
      setPause(false);
      list.toTop();
    },
    focusFilter: () => field.focus(),
    get filterText() { return filterText; },
    get showsBeats() { return showBeats; },
  };
}
