/** EventBusMonitor: the live list, its filter, pause, gaps, and how fast it goes. */

import { TAIL, tailCommand } from "../commands.js";
import { announce, button, copyButton, h, quiet, setAttr, setHidden, setText, setWords } from "../dom.js";
import { compact, count, plural, unreadable } from "../format.js";
import { compileFilter } from "../filter.js";
import { emptyWords, eventRow, olderWords, VirtualList } from "./event_rows.js";
import { mountEventTools } from "./event_tools.js";
import { mountAsOf, mountTimeline } from "./timeline.js";

/** `history` reads more; `onSelect(event)` opens one, `onChange()`: the words have changed. */
export function mountEvents(root, { state, log, api, history, onSelect, onStored, onChange, onSpan }) {
  let filterText = "";
  let filter = compileFilter("");
  let showBeats = false;
  let nowMs = NaN;
  let selectedId = null;
  let pauseIsOurs = false;
  let older = { kind: "older", id: 0, words: "", act: null };
  let pressed = null;
  /** What came of the last press: what the copied command could not say, or how far an export is. */
  let notice = "";
  let isNewestLast = false;

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
  const viewport = h("div", { class: "event-list", role: "listbox", tabindex: 0 });
  const empty = h("div", { class: "empty", hidden: true }, h("p"), h("div", { class: "acts" }, search, clear));
  root.append(
    h("div", { class: "panel-head" }, h("h2", { id: "events-title" }, "Events"), rates, field, beats, command, pause),
    axis, asOf.element, status, h("div", { class: "event-frame" }, viewport, empty));
  const tools = mountEventTools({ state, log, api, say, onOrder, onStored, show: showView,
    shown: () => ({ filter: filterText, heartbeats: showBeats, spanMs: state.axis.spanMs, range: state.asOf && { from: state.asOf.from, to: state.asOf.to } }) });
  const timeline = mountTimeline(axis, { state, log, tools: tools.element, onRange: showRange, onSpan });

  const length = () => log.visible.length + (log.visible.length > 0 ? 1 : 0);
  /** From a place in the log to one in the list, and back. */
  const turned = (at) => (isNewestLast ? at : log.visible.length - 1 - at);
  const itemAt = (index) => log.visible[isNewestLast ? index - 1 : turned(index)] ?? older;
  const list = new VirtualList(viewport, {
    make: () => eventRow({ itemAt, isSelected: (item) => item.kind === "event" && item.id === selectedId }),
    onScroll: scrolled,
  });

  function onOrder(newestLast) {
    isNewestLast = list.fromBottom = newestLast;
    setAttr(viewport, "aria-label", `Events, newest ${newestLast ? "last" : "first"}`);
    list.draw(length());
    list.toStart();
  }

  function showView(view) {
    setPause(false);
    setBeats(view.heartbeats === true);
    setFilter(view.filter);
    timeline.setSpan(view.spanMs);
    if (view.range) showRange(view.range.from, view.range.to);
  }

  function setFilter(text, { fromField = false } = {}) {
    filterText = text;
    filter = compileFilter(text);
    if (!fromField) field.value = text;
    if (filter.wantsHeartbeats && !showBeats) showBeats = true;
    log.setFilter(filter, showBeats);
    list.toStart();
    history.forget();
    notice = "";
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
      list.toStart();
    }
    render();
  }

  function togglePause() {
    setPause(!log.frozen);
  }

  /** Scrolling away holds the list still; coming back to the newest lets it go. */
  function scrolled(atStart) {
    if (!atStart) setPause(true, { ours: true });
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
    list.toStart();
    asOf.show(filter, from, to);
  }

  function asCommand() {
    return tailCommand(filterText, { url: new URL(".", location.href).href.slice(0, -1), heartbeats: showBeats });
  }

  /** A command that shows more than the list does says so. */
  function sayUnsaid() {
    const words = asCommand().unsaid;
    say(words.length ? `Copied without ${words.map((word) => `“${word}”`).join(", ")}: ${TAIL} has no such filter` : "", "Copied");
  }

  function say(words, spoken = words) {
    notice = words;
    announce(words || spoken);
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
    if (pauseIsOurs && list.atStart) setPause(false);
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
    list.reveal(turned(log.visible.indexOf(rows[at])) + (isNewestLast ? 1 : 0));
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
      move((event.key === "ArrowDown") === isNewestLast ? -1 : 1);
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
    if (notice) parts.push(notice);
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
    tools.render();
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

  tools.setOrder();
  return {
    render, showRange, setFilter, setBeats, togglePause, move, unselect, setPause,
    newest: () => {
      setPause(false);
      list.toStart();
    },
    focusFilter: () => field.focus(),
    get filterText() { return filterText; },
    get showsBeats() { return showBeats; },
  };
}
