/** The daemon dies and comes back: the page says so, misses nothing, and asks little. */
import assert from "node:assert/strict";
import { audit, Bus, finish, reads, request, text, until, withPage } from "../browser.mjs";

const FREE = /^\/(dashboard|risk\/killswitch|health$|ready$|$)/;
const bus = new Bus();

await withPage({ tolerate: /WebSocket|ERR_CONNECTION|Failed to load resource/ }, async (page) => {
  const counted = [];
  page.on("request", (one) => !FREE.test(new URL(one.url()).pathname) && counted.push(Date.now()));
  await reads(page, ".marks [data-kind=up]", /Link/);
  bus.publish("strategy.before", { n: 1 });
  await reads(page, ".event-list", /strategy\.before/);

  await request("kill");
  await reads(page, "#link-bar", /No answer from the daemon since/, 40_000);
  await until(async () => /^Not known since \d\d:\d\d:\d\d, was allowed/.test(await page.title()), "the title says it");
  assert.equal(await page.locator("#icon").getAttribute("data-kind"), "link");
  assert.equal(await page.locator("body").getAttribute("data-link"), "lost");
  for (const place of [".trading strong", "#killswitch .state-words"]) assert.match(await text(page, place), /^Not known since/);
  assert.match(await text(page, "#killswitch .state-meaning"), /^Was: allowed/);
  await audit(page);

  await page.click("#stop");
  await page.fill("#stop-typed", "STOP");
  await page.keyboard.press("Enter");
  await reads(page, "#stop-dialog .outcome", /cannot be reached.*orc halt/);
  await page.keyboard.press("Escape");

  await request("start");
  bus.publish("strategy.after", { n: 2 });
  await until(async () => (await page.locator("body").getAttribute("data-link")) === "live", "the link is back", 60_000);
  await until(() => page.locator("#link-bar").isHidden(), "the bar goes");
  await reads(page, ".event-list", /strategy\.after/);
  assert.match(await text(page, ".event-list"), /strategy\.before/);

  const busiest = Math.max(...counted.map((at) => counted.filter((other) => other > at - 60_000 && other <= at).length));
  process.stdout.write(`# at most ${busiest} counted calls in a minute\n`);
  assert.ok(busiest <= 30, `${busiest} counted calls within a minute`);
});
bus.close();
finish();
