/** What is published is seen; filter, pause, side panel, keys and address do what they say; events are marked, exported, kept as views and emitted. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { audit, BASE, Bus, call, finish, reads, text, until, withPage } from "../browser.mjs";

const bus = new Bus();
const mark = `m${Date.now()}`;
const send = (n, more = {}) => bus.publish("strategy.candidate", { agent_id: "events-1", symbol: "AAPL", mark, n, score: n / 10, ...more });

await withPage({}, async (page) => {
  await reads(page, ".marks [data-kind=up]", /Link/);
  send(1);
  await reads(page, ".event-list", /strategy\.candidate/);

  await page.keyboard.press("/");
  await page.keyboard.type(`strategy.* data.mark=${mark} data.score>=0.5`);
  await page.keyboard.press("Escape");
  for (let n = 2; n <= 6; n += 1) send(n);
  await until(async () => (await page.locator(".event[data-kind=event]:visible").count()) === 2, "only n = 5 and 6 are shown");
  assert.match(page.url(), /filter=/);

  await page.keyboard.press(" ");
  send(7);
  send(8);
  await reads(page, ".pause", /Resume: 2 new/);
  assert.equal(await page.locator(".event[data-kind=event]:visible").count(), 2);
  await page.keyboard.press(" ");
  await until(async () => (await page.locator(".event[data-kind=event]:visible").count()) === 4, "the list caught up");

  await page.locator(".event[data-kind=event]:visible").first().click();
  await reads(page, "#details .json", /"AAPL"/);
  const newest = await text(page, "#details .json");
  await page.keyboard.press("j");
  await until(async () => (await text(page, "#details .json")) !== newest, "j goes to the older event");
  const address = page.url();
  assert.match(address, /event=\d+/);
  await page.keyboard.press("Escape");
  await until(() => page.locator("#details").isHidden(), "the side panel is closed");

  await page.goto(address);
  await reads(page, "#details .json", new RegExp(mark));
  assert.match(await page.locator("#filter").inputValue(), new RegExp(mark));

  await page.goto(`${BASE}/?filter=no.such.topic`);
  await reads(page, ".event-frame .empty", /Nothing matches/);
  await page.getByRole("button", { name: "Search the store" }).click();
  await reads(page, ".event-frame .empty", /Searched to the beginning of the store: it has none/);
  await page.locator("#filter").fill("severity:warnin");
  await reads(page, ".event-status", /no severity “warnin”, did you mean “warning”/);
  await page.locator("#filter").fill("no.such.topic");
  await page.getByRole("button", { name: "Clear filter" }).click();
  bus.beat("events-1");
  await reads(page, ".event-status", /heartbeats? hidden/);
  await page.getByRole("button", { name: "Heartbeats" }).click();
  await reads(page, ".event-list", /heartbeat\.events-1/);

  const chain = { correlation_id: `c-${mark}`, agent_id: "events-1" };
  bus.publish("strategy.cause", { ...chain, id: `a-${mark}` });
  bus.publish("strategy.middle", { ...chain, id: `b-${mark}`, causation_id: `a-${mark}` });
  for (const n of [1, 2]) bus.publish("strategy.end", { ...chain, n, causation_id: `b-${mark}` });
  await page.locator("#filter").fill(`data.id=b-${mark}`);
  await page.locator(".event[data-kind=event]:visible", { hasText: "strategy.middle" }).click();
  const causes = page.getByRole("button", { name: "Cause and consequences" });
  await until(async () => (await call(`/bus/events?correlation_id=c-${mark}`)).events.length === 4, "the chain is stored");
  await causes.click();
  await reads(page, "#details", /Cause.*strategy\.cause.*Consequences.*strategy\.end.*n=1.*strategy\.end.*n=2.*0 other events of this chain/s);
  await audit(page);
  await page.locator("#details .latest button", { hasText: "strategy.cause" }).press("Enter");
  await reads(page, "#details .details-title", /strategy\.cause/);
  await causes.press("Enter");
  await reads(page, "#details", /It names no cause.*Consequences.*strategy\.middle.*2 other events of this chain/s);

  const id = /event=(\d+)/.exec(page.url())[1];
  await page.getByRole("button", { name: "Mark as processed" }).click();
  await reads(page, "#details .question", /requests for unprocessed events no longer get it/);
  await page.getByRole("button", { name: "Mark as processed now" }).click();
  await reads(page, "#details .outcome", /Marked as processed/);
  assert.equal((await call(`/bus/events/${id}`)).event.processed, true);
  await reads(page, "#details .why", /It is marked already/);
  await page.getByRole("button", { name: "Its sources and rates" }).click();
  await reads(page, "#details", /strategy\.cause.*Sources of its latest.*events-1.*a minute/s);
  await page.locator("#details .latest button").first().click();
  assert.equal(await page.locator("#filter").inputValue(), "strategy.cause source:events-1");

  await page.locator("#filter").fill(`data.correlation_id=c-${mark}`);
  await reads(page, ".event-status", /4 events match/);
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Export" }).click();
  const file = readFileSync(await (await download).path(), "utf8").trimEnd().split("\n").map(JSON.parse);
  assert.deepEqual(file.map((event) => event.type), ["strategy.cause", "strategy.middle", "strategy.end", "strategy.end"]);
  assert.equal(file[0].payload.id, `a-${mark}`);
  await reads(page, ".event-status", /Exported 4 events to events-.*\.jsonl/);

  const first = () => page.locator(".event[data-kind=event]:visible").evaluateAll((rows) => rows.sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)[0].querySelector(".topic").textContent);
  assert.equal(await first(), "strategy.end");
  await page.getByRole("button", { name: "Newest first" }).press("Enter");
  await until(async () => (await first()) === "strategy.cause", "the newest is last");
  await page.reload();
  await until(async () => (await page.locator(".event[data-kind=event]:visible").count()) === 4 && (await first()) === "strategy.cause", "the order is remembered");
  await page.getByRole("button", { name: "Newest last" }).click();

  await page.getByRole("button", { name: "Views…" }).click();
  await page.fill("#view-name", "the chain");
  await page.keyboard.press("Enter");
  await reads(page, "#views .outcome", /Saved as “the chain”/);
  await audit(page);
  await page.keyboard.press("Escape");
  await page.locator("#filter").fill("");
  await page.getByRole("button", { name: "Views…" }).click();
  await page.getByRole("button", { name: /^the chain/ }).click();
  assert.equal(await page.locator("#filter").inputValue(), `data.correlation_id=c-${mark}`);
  await page.getByRole("button", { name: "Views…" }).click();
  await page.getByRole("button", { name: "Delete the chain" }).click();
  await reads(page, "#views", /keeps none yet/);
  await page.keyboard.press("Escape");

  await page.getByRole("button", { name: "Test event…" }).click();
  await reads(page, "#emit .effect", /stored for good, and published to all who listen on test\.hello\.$/);
  await page.fill("#emit-payload", "{oops");
  await page.getByRole("button", { name: "Store and publish it" }).click();
  await reads(page, "#emit .outcome", /no JSON/);
  await page.fill("#emit-payload", JSON.stringify({ mark }));
  await audit(page);
  await page.getByRole("button", { name: "Store and publish it" }).click();
  await reads(page, "#emit .outcome", /Stored as #\d+/);
  await page.getByRole("button", { name: "Show it" }).click();
  await reads(page, "#details", new RegExp(`test\\.hello.*dashboard.*${mark}`, "s"));
  await page.locator("#filter").fill("");

  await page.locator("#agents .agent", { hasText: "events-1" }).click();
  await reads(page, "#details", /Its latest events.*heartbeat/s);
  bus.publish("strategy.live", { agent_id: "events-1", mark });
  bus.beat("events-1", { version: "2.0", status: "failed", error: "ValueError: no price" });
  await reads(page, "#details .latest", /strategy\.live/);
  await reads(page, "#details .facts", /error.*2\.0.*Last errorno price, \d s ago/s);
  bus.beat("events-1", { status: "stopped" });
  await reads(page, "#details .facts", /stopped on purpose/);

  await page.goto(`${BASE}/?kiosk`);
  await reads(page, ".trading strong", /Trading allowed/);
  for (const gone of ["#stop", "#filter", ".event-tools button", ".account"]) assert.ok(await page.locator(gone).first().isHidden(), gone);
  assert.match(page.url(), /kiosk/);
  await audit(page);
  const manifest = await fetch(new URL(await page.locator("link[rel=manifest]").getAttribute("href"), `${BASE}/`));
  assert.match(manifest.headers.get("content-type"), /manifest\+json/);
  assert.equal(new URL((await manifest.json()).start_url, manifest.url).href, `${BASE}/`);
});
bus.close();
finish();
