import assert from "node:assert/strict";
import { test } from "node:test";
import { EventLog } from "../../../http/dashboard/event_log.js";
import { compileFilter } from "../../../http/dashboard/filter.js";
import { History } from "../../../http/dashboard/history.js";
import { createState } from "../../../http/dashboard/store.js";

const T0 = Date.parse("2026-01-31T09:30:00.000Z");
const event = (id, type = "data.market.AAPL.1m") => ({ id, type, payload: {}, source: "q", ts: new Date(T0 + id * 1000).toISOString() });

/** A store with the ids 1 to `newest`, read as `/bus/events` gives it; remembers what it was asked. */
function storeOf(newest, typeOf = () => undefined) {
  const asked = [];
  return { asked, budget: { left: () => 24 }, events: async (query) => {
    asked.push(query);
    const top = Math.min(newest, (query.before ?? Infinity) - 1);
    const count = Math.min(query.limit, top);
    return { events: Array.from({ length: count }, (_, i) => event(top - i, typeOf(top - i))), has_more: top - count > 0 };
  } };
}

function open(api, words = "strategy.*") {
  const log = new EventLog();
  const filter = compileFilter(words);
  log.setFilter(filter, false);
  return { log, filter, history: new History({ state: createState(), log, api, now: () => T0, changed() {} }) };
}

test("a search looks a bounded way back, says how far, and goes on there", async () => {
  const api = storeOf(2000);
  const { history, filter } = open(api);
  await history.older(filter);
  assert.equal(api.asked.length, 3);
  assert.deepEqual(history.searched, { rows: 600, backTo: T0 + 1401_000 });
  assert.equal(history.atBeginning, false);
  await history.older(filter);
  assert.deepEqual(history.searched, { rows: 1200, backTo: T0 + 801_000 });
  assert.equal(api.asked[3].before, 1401);
});

test("only at the first event there is does it say that there are none", async () => {
  const { history, filter } = open(storeOf(500));
  await history.older(filter);
  assert.ok(history.atBeginning);
  assert.equal(history.searched.rows, 500);
  history.forget();
  assert.deepEqual([history.atBeginning, history.searched], [false, null]);
});

test("it stops as soon as something is found", async () => {
  const api = storeOf(2000, (id) => (id > 1800 ? "strategy.candidate" : undefined));
  const { history, filter, log } = open(api);
  await history.older(filter);
  assert.equal(api.asked.length, 1);
  assert.equal(log.visible.length, 200);
});

test("a page that cannot be read ends the search without a claim", async () => {
  const { history, filter } = open({ events: async () => { throw new Error("No answer within 8 s."); } });
  await history.older(filter);
  assert.deepEqual([history.searched, history.atBeginning, history.busy], [null, false, false]);
  assert.equal(history.state.sources.events.error, "No answer within 8 s.");
});

test("a span is read in bounded pages, each behind the last, with what the daemon can filter", async () => {
  const api = storeOf(2000);
  const { history } = open(api);
  const found = await history.range(compileFilter("strategy.* source:q"), T0, T0 + 60_000);
  assert.deepEqual([found.rows.length, found.more, found.rows[0].id, found.rows.at(-1).id], [600, true, 1401, 2000]);
  assert.deepEqual(api.asked.map((query) => query.before), [undefined, 1801, 1601]);
  assert.deepEqual({ ...api.asked[0] }, { type: ["strategy.*"], source: "q", from: "2026-01-31T09:30:00.000Z", to: "2026-01-31T09:31:00.000Z", limit: 200 });
  assert.equal((await open(storeOf(3)).history.range(compileFilter(""), T0, T0)).more, false);
});
