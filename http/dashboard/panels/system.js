/** The daemon's inside in figures, each with how it went: store, journal, loop, pool, sockets, bus; then letters and books. */

import { h, keyed, makeTable, quiet, setHidden, setText } from "../dom.js";
import { age, clock, compact, count, duration, parseTime, perSecond, plural } from "../format.js";
import { ageWords, faultLine, fillPanel, spark } from "./acts.js";

const LETTERS_SHOWN = 50;
const ms = (seconds) => (Number.isFinite(seconds) ? `${Number((seconds * 1000).toPrecision(2))} ms` : "not known");
const rateOf = (series, name) => `${perSecond(series.rate(name))} / s`;

/** `[label, series, counts?, words({figures, labelled}, series), title]`; a series that counts is drawn as its rate. */
const FIGURES = [
  ["Store", "journal_events", false, ({ figures: f }) => `behind by ${plural(f.journal_events, "event")}, ${duration(f.persist_behind_seconds * 1000)}`, "What is in the journal and not yet in PostgreSQL"],
  ["Stored", "events_persisted_total", true, (_, s) => rateOf(s, "events_persisted_total"), "Rows committed in PostgreSQL"],
  ["Received", "events_received_total", true, (_, s) => rateOf(s, "events_received_total"), "Messages of the bus, and the daemon's own"],
  ["Journal", "journal_bytes", false, ({ figures: f }, s) => `${compact(f.journal_bytes)}B, ${ms(s.rate("ingest_lag_seconds_sum") / s.rate("ingest_lag_seconds_count"))} from socket to disk`, "Size of its segments; delay of the last seconds"],
  ["Loop", "loop_stall_seconds_sum", true, ({ figures: f }) => `${plural(f.loop_stall_seconds_count, "stall")} of 20 ms or more, ${duration(f.loop_stall_seconds_sum * 1000)} in all`, "Since the daemon's start: nothing else ran meanwhile"],
  ["Processor", "process_cpu_seconds_total", true, (_, s) => `${(s.rate("process_cpu_seconds_total") * 100).toFixed(0).replace("NaN", "–")} % of a core`, "The daemon's own process"],
  ["Memory", "process_resident_memory_bytes", false, ({ figures: f }) => `${compact(f.process_resident_memory_bytes)}B, ${count(f.process_open_fds)} of ${count(f.process_max_fds)} files open`, "The daemon's own process"],
  ["Pool", "db_connections", false, ({ figures: f, labelled: l }) => `${count(l['db_connections{state="busy"}'])} of ${plural(f.db_connections, "connection")} busy, ${count(f.db_waiting)} waiting`, "Connections to PostgreSQL for reads; the writer has its own"],
  ["Sockets", "ws_sent_total", true, ({ figures: f }, s) => `${plural(f.ws_clients, "WebSocket")} of ${plural(f.http_connections, "connection")}, ${rateOf(s, "ws_sent_total")}, ${count(f.ws_dropped_total)} dropped`, "Frames queued for clients; events that slow ones did not get"],
  ["Bus", "bus_ping_rtt_seconds", false, ({ figures: f }) => `ping ${ms(f.bus_ping_rtt_seconds)}, canary ${ms(f.bus_canary_rtt_seconds)}, ${plural(f.bus_cuts_total, "cut")}`, "Redis' answer; publishing to heartbeat monitor; subscriptions that ended"],
];

function figureRow([label, name, counts, words, title]) {
  const value = h("td", { class: "figure" });
  const picture = spark();
  const element = h("tr", { title }, h("th", { scope: "row" }, label), value, h("td", {}, picture.element));
  return { element, update({ read, series, nowMs }) {
    setText(value, words(read, series));
    picture.set(counts ? series.rates(name) : series.points(name), nowMs, series.spanMs(nowMs));
  } };
}

const cell = (words, kind) => h("td", { class: kind }, words);
const letterRow = ({ at, actor, message, reason }) => h("tr", {}, cell(clock(parseTime(at)), "figure"), h("th", { scope: "row" }, actor), cell(message, "words"), cell(reason, "words"));

function letterWords({ total, dead_letters: letters }) {
  if (total === 0) return "None since the daemon's start: every message was handled.";
  const shown = Math.min(letters.length, LETTERS_SHOWN);
  return `${plural(total, "message")} not handled since the daemon's start${shown < total ? `; the newest ${shown}:` : ":"}`;
}

const bookRow = (row) => h("tr", {}, h("th", { scope: "row" }, row.source),
  ...[row.carried + row.received, row.stored, row.journal, row.rejected, row.dropped, row.copies + row.echoes + row.aside].map((n) => cell(count(n), "number")),
  h("td", { class: "number", data: { some: row.difference !== 0 } }, count(row.difference)));

function bookWords({ balanced, since }) {
  const when = `since ${clock(parseTime(since))} UTC`;
  return balanced ? `Balanced: what became of every message received ${when} is known.` : `Not balanced ${when}: what became of some messages is not known. That is a fault of the program.`;
}

export function mountSystem(root, { state, onRetry, onBack }) {
  const [span, aged] = [h("span", { class: "panel-note" }), h("span", { class: "panel-age" })];
  const back = quiet("Back to the desk", onBack);
  const fault = faultLine(onRetry);
  const known = new Map();
  const figures = h("tbody");
  const [letterNote, bookNote] = [h("p", { class: "note" }), h("p", { class: "note" })];
  const letters = makeTable("actors", "Dead letters", [["Time"], ["Actor"], ["Message"], ["Why"]]);
  const books = makeTable("actors", "Books", [["Source"], ...["Received", "Stored", "In the journal", "Rejected", "Dropped", "Set aside", "Difference"].map((label) => [label, "number"])]);
  const drawn = {};
  fillPanel(root, "System", [span, aged, back], fault.element, h("table", { class: "actors figures" }, h("caption", { class: "offscreen" }, "Figures of the daemon"), figures),
      h("h3", {}, "Dead letters"), letterNote, letters.element, h("h3", {}, "Books"), bookNote, books.element);

  /** Fill a table from an answer, once for each. */
  function fill(name, target, note, words, rows) {
    const body = state.system[name];
    const { error } = state.sources[name];
    setText(note, error ? `Not readable: ${error}` : body ? words(body) : "Reading…");
    if (!body || drawn[name] === body) return;
    drawn[name] = body;
    target.body.replaceChildren(...rows(body));
    setHidden(target.element, rows(body).length === 0);
  }

  function render(nowMs) {
    if (state.place !== "system") return;
    const read = state.system.metrics;
    if (read) keyed(figures, known, FIGURES.map((of) => ({ of, read, series: state.series, nowMs })), (item) => item.of[0], (item) => figureRow(item.of));
    setText(span, `pictures: the last ${duration(state.series.spanMs(nowMs))}`);
    setText(aged, ageWords(state.sources.metrics.at, nowMs) || "reading…");
    fault.show(state.sources.metrics, nowMs);
    fill("letters", letters, letterNote, letterWords, (body) => body.dead_letters.slice(0, LETTERS_SHOWN).map(letterRow));
    fill("books", books, bookNote, bookWords, (body) => body.books.map(bookRow));
  }
  return { render };
}
