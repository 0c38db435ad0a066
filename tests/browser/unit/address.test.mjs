import assert from "node:assert/strict";
import { test } from "node:test";
import { addressOf, shownBy } from "../../../http/dashboard/storage.js";

test("what is shown comes back from its address", () => {
  const shown = { place: "events", filter: "strategy.* data.x=\"a&b\"", heartbeats: true, kiosk: true, selection: { event: 12 } };
  assert.deepEqual(shownBy(addressOf(shown, "/")), { place: "events", filter: shown.filter, heartbeats: true, kiosk: true, agent: null, event: "12" });
});

test("a page as it opens has the plain address, and nonsense selects nothing", () => {
  assert.equal(addressOf({ place: "desk", filter: "", heartbeats: false, selection: {} }, "/orc/"), "/orc/");
  assert.deepEqual(shownBy("?event=abc"), { place: "desk", filter: null, heartbeats: false, kiosk: false, agent: null, event: null });
});
