/** Whatever a payload holds, it is text on the page. */
import assert from "node:assert/strict";
import { Bus, call, finish, reads, until, withPage } from "../browser.mjs";

const EVIL = "\"><img src=x onerror=\"window.pwned=1\"><script>window.pwned=1</script>{{7*7}}${7*7}";
const bus = new Bus();
const send = () => {
  bus.publish(`strategy.${EVIL}`, { source: EVIL, [EVIL]: EVIL, symbol: EVIL, __proto__: EVIL, nested: { [EVIL]: [EVIL] } });
  bus.publish("strategy.candidate", "{\"__proto__\": {\"polluted\": 1}, \"constructor\": 3, \"symbol\": [1, {\"a\": null}], \"strategy\": 1e308}");
  for (const odd of ["null", "3", "\"text\"", "[]", "[[[[[1]]]]]", "{}", "true"]) bus.publish("quant.regime.state", odd);
  bus.publish("quant.regime.state", { regime: EVIL, trend: EVIL, confidence: EVIL, symbol_details: { [EVIL]: { regime: EVIL, volatility: EVIL }, x: null } });
  bus.beat("hostile-1", { name: EVIL, group: EVIL, version: EVIL, status: "error", last_error: EVIL });
  bus.publish("strategy.wide", { text: "w".repeat(100_000), emoji: "🧨\u202Etxt" });
};

await withPage({}, async (page) => {
  await reads(page, ".marks [data-kind=up]", /Link/);
  send();
  await reads(page, ".event-list", /onerror/);
  await reads(page, "#agents", /onerror/);
  await reads(page, "#regime", /onerror/);
  const row = page.locator(".event[data-kind=event]", { hasText: "onerror" }).first();
  await row.click();
  await reads(page, "#details .json", /window\.pwned=1/);
  await page.locator("#agents .agent", { hasText: "onerror" }).first().click();
  await reads(page, "#details", /Its latest events/);
  await page.goto(`${page.url().split("?")[0]}?filter=${encodeURIComponent(EVIL)}`);
  await until(async () => (await page.locator("#filter").inputValue()) === EVIL, "the filter is taken as it is");

  await page.locator("#filter").fill("strategy.wide");
  await page.locator(".event[data-kind=event]", { hasText: "strategy.wide" }).first().click();
  await reads(page, "#details .json", /more characters/);
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false);
  assert.equal(await page.evaluate(() => window.pwned ?? ({}).polluted), undefined);
  assert.equal(await page.locator("main img, main script, aside img, aside script").count(), 0);

  await page.click("#stop");
  await page.fill("#stop-reason", EVIL);
  await page.fill("#stop-typed", "STOP");
  await page.keyboard.press("Enter");
  await reads(page, "#killswitch .trips", /onerror/);
  const { trip_id: trip } = await call("/risk/killswitch");
  await call("/risk/killswitch/release", { trip_id: trip, reason: "end of the test" });
  await reads(page, ".trading strong", /Trading allowed/);
  assert.equal(await page.evaluate(() => window.pwned), undefined);
});
bus.close();
finish();
