/** Stop by holding and by typing, from either size, for all or for some; release each stop by trip id and reason; the page says the state everywhere. */
import assert from "node:assert/strict";
import { audit, Bus, call, finish, PHONE, reads, until, withPage } from "../browser.mjs";

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
  const confirm = page.getByRole("button", { name: "Release this trip" });
  await page.fill("#release-trip", "wrong1");
  await page.fill("#release-reason", "looked, was a drill");
  assert.ok(await confirm.isDisabled(), "another trip's id does not release");
  await page.fill("#release-trip", trip.slice(-6));
  await confirm.click();
  await allowed(page);
}

await withPage({}, async (page) => {
  await allowed(page);
  await reads(page, "#killswitch", /Last drill\s*never/);
  await page.getByRole("button", { name: "Drill" }).click();
  await reads(page, "#killswitch", /Last drill\s*\d+ s ago: \d+ agents? answered/);
  assert.equal((await call("/risk/killswitch")).status, "inactive", "a drill halts nobody");
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
  await reads(page, "#killswitch .trips", /Prices look wrong/);
  await audit(page);
  await reads(page, "#alerts", /stopped/i);
  await until(async () => /^STOPPED/.test(await page.title()), "the title says it");
  assert.equal(await page.locator("#icon").getAttribute("data-kind"), "stop");
  await reads(page, ".event-list", /risk\.killswitch/);

  await page.reload();
  await reads(page, "#killswitch .state-words", /Stopped: all agents/);
  await release(page);
  assert.doesNotMatch(await page.title(), /STOPPED/);
});

const bus = new Bus();
let status = "running";
const beats = setInterval(() => bus.beat("scoped-1", { group: "scoped", status }), 1000);
await withPage({}, async (page) => {
  const may = (pattern) => reads(page, "#killswitch .killswitch", pattern);
  await reads(page, "#agents", /scoped-1/);
  const { trip_id: group } = await call("/risk/killswitch", { reason: "quotes are slow", scope: "group:scoped" });
  await may(/What may be done now.*group scoped.*Halt: no new orders.*all others.*Allowed/);
  const sum = (pattern) => reads(page, "#agents .panel-note", pattern);
  await sum(/\b1 up under a stop/);
  status = "halted";
  await sum(/\b1 halted/);
  assert.doesNotMatch(await page.locator("#agents .panel-note").textContent(), /under a stop|all \d+ agents/);
  await page.click("#stop");
  await reads(page, "#stop-dialog .effect", /halt for all agents/);
  await page.selectOption("#stop-level", "reduce");
  await page.selectOption("#stop-scope", "agent:scoped-1");
  await reads(page, "#stop-dialog .effect", /reduce for agent scoped-1/);
  await page.selectOption("#stop-scope", "all");
  await audit(page);
  await page.fill("#stop-typed", "STOP");
  await page.keyboard.press("Enter");
  await reads(page, "#stop-dialog .outcome", /In force: reduce for all agents; a stop was in force already/);
  await page.getByRole("button", { name: "Close" }).click();
  await may(/In force: 2.*group scoped.*Halt: no new orders.*all others.*Reduce: no new positions/);
  await audit(page);

  await page.getByRole("button", { name: "Release this stop… Halt for group scoped" }).click();
  await reads(page, "#release-dialog", /halt for group scoped, “quotes are slow”.*What stays in force: reduce for all agents/);
  await page.fill("#release-trip", group.slice(-6));
  await page.fill("#release-reason", "quotes are fresh");
  await page.getByRole("button", { name: "Release this trip" }).click();
  await reads(page, "#release-dialog .outcome", /Still in force: reduce for all agents/);
  await audit(page);
  await page.getByRole("button", { name: "Close" }).click();
  await may(/In force: 1.*all agents.*Reduce: no new positions/);
  await reads(page, ".trading strong", /Reduce only: all agents/);
  const { trips } = await call("/risk/killswitch");
  assert.deepEqual(trips.map(({ level, scope }) => [level, scope]), [["reduce", "all"]]);
  await release(page);
});
clearInterval(beats);
bus.close();

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
