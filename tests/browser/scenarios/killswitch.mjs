/** Stop by holding and by typing, from either size; release by trip id and reason; the page says the state everywhere. */
import assert from "node:assert/strict";
import { audit, call, finish, PHONE, reads, until, withPage } from "../browser.mjs";

const allowed = (page) => reads(page, ".trading strong", /Trading allowed/);

async function hold(page, ms) {
  const box = await page.locator(".hold").boundingBox();
  await page.mouse.move(box.x + 30, box.y + 20);
  await page.mouse.down();
  await page.waitForTimeout(ms); // A hold is a length of time: there is nothing else to wait for.
  await page.mouse.up();
}

async function release(page) {
  const { trip_id: trip } = await call("/risk/killswitch");
  await page.getByRole("button", { name: "Release this stop…" }).click();
  await audit(page);
  const confirm = page.getByRole("button", { name: "Release: trading goes on" });
  await page.fill("#release-trip", "wrong1");
  await page.fill("#release-reason", "looked, was a drill");
  assert.ok(await confirm.isDisabled(), "another trip's id does not release");
  await page.fill("#release-trip", trip.slice(-6));
  await confirm.click();
  await allowed(page);
}

await withPage({}, async (page) => {
  await allowed(page);
  await page.click("#stop");
  await audit(page);
  await hold(page, 700);
  await page.waitForTimeout(1200); // Longer than the rest of the hold would have taken.
  assert.equal((await call("/risk/killswitch")).status, "inactive", "a short hold does nothing");
  await page.getByRole("button", { name: "Prices look wrong" }).click();
  await hold(page, 1800);
  await reads(page, "#stop-dialog .outcome", /Trading is stopped.*on disk/);
  await page.getByRole("button", { name: "Close" }).click();
  await reads(page, "#killswitch .state-words", /Stopped: all agents/);
  await reads(page, "#killswitch .facts", /Prices look wrong/);
  await audit(page);
  await reads(page, "#alerts", /stopped/i);
  await until(async () => /^STOPPED/.test(await page.title()), "the title says it");
  assert.match(await page.locator("#icon").getAttribute("href"), /stopped/);
  await reads(page, ".event-list", /risk\.killswitch/);

  await page.reload();
  await reads(page, "#killswitch .state-words", /Stopped: all agents/);
  await release(page);
  assert.doesNotMatch(await page.title(), /STOPPED/);
});

await withPage({ size: PHONE }, async (page) => {
  await allowed(page);
  const bar = page.getByRole("navigation");
  const box = await bar.getByRole("button", { name: "Stop" }).boundingBox();
  assert.ok(box.height >= 44 && box.y > PHONE.height * 0.85, "the stop is large and at the thumb");
  await bar.getByRole("button", { name: "Stop" }).tap();
  await hold(page, 1800);
  await reads(page, "#stop-dialog .outcome", /Trading is stopped/);
  await page.getByRole("button", { name: "Close" }).tap();
  await reads(page, ".trading strong", /Stopped: all agents/);
  await release(page);
});
finish();
