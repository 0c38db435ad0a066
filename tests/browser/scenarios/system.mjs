/** The system tab: the tree with rates, the daemon's figures, its dead letters and books; from the desk and back. */
import assert from "node:assert/strict";
import { audit, Bus, call, finish, PHONE, reads, until, withPage } from "../browser.mjs";

const bus = new Bus();
const letters = { status: "ok", timestamp: new Date().toISOString(), total: 1200, dead_letters: Array.from({ length: 1000 }, (_, i) => ({ actor: "broadcaster", message: `ShowEvents(${i})`, reason: "the actor has ended", at: new Date().toISOString() })) };

for (const scheme of ["dark", "light"]) {
  await withPage({ scheme }, async (page) => {
    await reads(page, "#supervision", /persister/);
    assert.ok(await page.locator("#system").isHidden());
    await page.locator("#supervision").getByRole("button", { name: "System" }).click();
    assert.match(page.url(), /place=system/);
    await reads(page, "#system .figures", /Store.*behind by 0 events.*Journal.*B, .*Loop.*stalls? of 20 ms.*Pool.*connections? busy.*Sockets.*1 WebSocket of.*Bus.*ping/s);
    bus.beat("system-1");
    await reads(page, "#system .figures", /Received[\d.]+ \/ s/);
    await until(async () => (await page.locator("#supervision .spark path[d^=M]").count()) > 5, "mailboxes have their pictures");
    await reads(page, "#system", /None since the daemon's start.*Balanced: what became of every message/s);
    const { books } = await call("/runtime/books");
    for (const { source } of books) await reads(page, "#system", new RegExp(source));
    assert.equal(await page.locator("#killswitch").isHidden(), true);
    assert.ok(await page.locator("#stop").isVisible(), "the stop stays");
    await audit(page);
    await page.getByRole("button", { name: "Back to the desk" }).click();
    assert.ok(await page.locator("#events").isVisible());
    await page.keyboard.press("g");
    await page.keyboard.press("y");
    assert.ok(await page.locator("#system").isVisible());
    await page.keyboard.press("/");
    assert.ok(await page.locator("#filter").isVisible(), "the filter is on the desk");
  });
}
await withPage({ size: PHONE, path: "/?place=system" }, async (page) => {
  await reads(page, "#system .figures", /behind by/);
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, "no wider than the phone");
  await audit(page);
});
await withPage({ tolerate: /503/ }, async (page) => {
  await page.route("**/runtime/dead-letters", (route) => route.fulfill({ json: letters }));
  await page.route("**/metrics", (route) => route.fulfill({ body: 'orchestrator_journal_events 1234.0\norchestrator_persist_behind_seconds 8.5\n' }));
  await page.route("**/runtime/books", (route) => route.fulfill({ status: 503, json: { error: "unavailable", message: "The persister does not answer." } }));
  await page.keyboard.press("g");
  await page.keyboard.press("y");
  await reads(page, "#system .figures", /behind by 1\u2009234 events, 8\.5 s/);
  await reads(page, "#system", /1\u2009200 messages not handled since the daemon's start; the newest 50:.*ShowEvents\(49\).*Not readable: unavailable: The persister does not answer\./s);
  assert.equal((await page.locator("#system").textContent()).includes("ShowEvents(50)"), false);
});
bus.close();
finish();
