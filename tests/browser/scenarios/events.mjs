/** What is published is seen; filter, pause, side panel, keys and address do what they say. */
import assert from "node:assert/strict";
import { audit, BASE, Bus, finish, reads, text, until, withPage } from "../browser.mjs";

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
  await until(async () => { // Until all of the chain is stored.
    await causes.click();
    return /Cause.*strategy\.cause.*Consequences.*strategy\.end.*n=1.*strategy\.end.*n=2.*0 other events of this chain/s.test(await text(page, "#details"));
  }, "the chain is read");
  await audit(page);
  await page.locator("#details .latest button", { hasText: "strategy.cause" }).press("Enter");
  await reads(page, "#details .details-title", /strategy\.cause/);
  await causes.press("Enter");
  await reads(page, "#details", /It names no cause.*Consequences.*strategy\.middle.*2 other events of this chain/s);
  await page.locator("#filter").fill("");

  await page.locator("#agents .agent", { hasText: "events-1" }).click();
  await reads(page, "#details", /Its latest events.*heartbeat/s);
  bus.publish("strategy.live", { agent_id: "events-1", mark });
  bus.beat("events-1", { version: "2.0", status: "failed", error: "ValueError: no price" });
  await reads(page, "#details .latest", /strategy\.live/);
  await reads(page, "#details .facts", /error.*2\.0.*Last errorno price, \d s ago/s);
  bus.beat("events-1", { status: "stopped" });
  await reads(page, "#details .facts", /stopped on purpose/);
});
bus.close();
finish();
