/** 500 agents in the registry: trouble in sight, the rest folded by group; versions, twins, a day, and what a managed one uses. */
import assert from "node:assert/strict";
import { audit, Bus, call, finish, PHONE, reads, until, withPage } from "../browser.mjs";

const bus = new Bus();
const GROUPS = 7;
const beat = (i, more) => bus.beat(`crowd-${i}`, { group: `crowd-${i % GROUPS}`, interval_s: 120, version: i === 21 ? "2.4.0" : "2.3.1", ...more });
for (let i = 0; i < 500; i += 1) beat(i, i === 8 ? { status: "failed", error: "ValueError: no price" } : {});
await until(async () => (await call("/health/agents")).agents.filter((row) => row.id.startsWith("crowd-")).length === 500, "the registry has 500 of them");

for (const scheme of ["dark", "light"]) {
  await withPage({ scheme }, async (page) => {
    await reads(page, '.fold:has-text("crowd-1")', /71 fine/);
    await reads(page, '.fold:has-text("crowd-0")', /72 fine, versions 2\.3\.1 \(71\), 2\.4\.0 \(1\)/);
    assert.ok((await page.locator(".agent").count()) <= 130, "the page draws no more than can be read");
    const shown = await page.locator(".agent").allTextContents();
    const trouble = shown.findIndex((words) => /crowd-8error.*no price/.test(words));
    const fine = shown.findIndex((words) => words.includes("71 fine"));
    assert.ok(trouble >= 0 && trouble < fine, "trouble comes before what is fine");
    await audit(page);

    const group = page.locator('.fold:has-text("crowd-0")');
    await group.click();
    assert.equal(await group.getAttribute("aria-expanded"), "true");
    await reads(page, '.agent:has-text("crowd-21")', /version 2\.4\.0, others 2\.3\.1/);
    await group.click();
    await until(async () => (await page.locator('.agent:has-text("crowd-21")').count()) === 0, "folded again");

    await page.getByRole("searchbox", { name: "Filter the agents" }).fill("crowd-499");
    await until(async () => (await page.locator(".agent:visible").count()) === 1, "the filter finds one");
    await until(async () => {
      for (const boot of ["a", "b", "a"]) beat(499, { boot });
      const cards = await page.locator(".agent:visible").allTextContents();
      return cards.some((words) => /crowd-499error.*2 processes beat under this id/.test(words));
    }, "two processes under one id are said");
    await page.getByText("2 processes beat under this id").first().waitFor();
    await page.locator(".agent").click();
    await reads(page, "#details", /2 processes beat under this id.*Its last 24 hours/s);
    await until(async () => (await page.locator("#details .chart canvas").count()) === 1, "its day is drawn");
    await audit(page);
  });
}
await withPage({ size: PHONE, path: "/?place=agents" }, async (page) => {
  await reads(page, '.fold:has-text("crowd-1")', /fine/);
  await page.locator('.fold:has-text("crowd-1")').tap();
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, "no wider than the phone");
  await audit(page);
});
bus.close();
finish();
