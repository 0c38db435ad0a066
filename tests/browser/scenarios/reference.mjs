/** The API reference: everything described is there, found, copied and readable on a phone. */
import assert from "node:assert/strict";
import { audit, call, DESKTOP, finish, PHONE, reads, until, withPage } from "../browser.mjs";

const rest = await call("/openapi.json");
const bus = await call("/asyncapi.json");
const operations = Object.values(rest.paths).flatMap((item) => Object.values(item));
const cards = operations.length + Object.keys(bus.channels).length;
const path = "/docs";

for (const scheme of ["dark", "light"]) {
  await withPage({ size: DESKTOP, scheme, path }, async (page) => {
    await until(async () => (await page.locator(".card").count()) === cards, "a card for each operation and channel");
    for (const { operationId } of operations) assert.equal(await page.locator(`#${operationId}`).count(), 1, operationId);
    await audit(page);
    await page.keyboard.press("/");
    await page.keyboard.type("killswitch release");
    await until(() => page.locator("#postRiskKillswitchRelease").isVisible(), "the release is found");
    assert.equal(await page.locator("#getHealth").isVisible(), false);
    await page.keyboard.press("Escape");
    await until(() => page.locator("#getHealth").isVisible(), "all is shown again");
    await page.getByLabel("token in commands").check();
    await reads(page, "#getHealth .code-box code", /Authorization: Bearer \$ORCHESTRATOR_TOKEN/);
    await page.locator("#channel-stream .answer").filter({ hasText: "redis_event" }).first().locator("summary").first().click();
    await reads(page, "#channel-stream .message", /eventType/);
  });
  await withPage({ size: PHONE, scheme, path: `${path}#getBusEvents` }, async (page) => {
    await until(() => page.locator("#getBusEvents").isVisible(), "the operation of the address");
    await page.getByText("Contents", { exact: true }).tap();
    await page.locator(".contents a[href='#getRegimeState']").tap();
    await until(() => page.evaluate(() => document.getElementById("getRegimeState").getBoundingClientRect().top < innerHeight / 2), "the place that was chosen");
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, "no wider than the phone");
    await audit(page);
  });
}
finish();
