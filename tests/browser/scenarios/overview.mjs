/** The panels fill themselves, in both colour schemes and both sizes, and axe finds nothing serious. */
import assert from "node:assert/strict";
import { audit, Bus, call, DESKTOP, finish, PHONE, reads, withPage } from "../browser.mjs";

const bus = new Bus();
bus.beat("overview-1");
bus.publish("quant.regime.state", { agent_id: "regime-detector", regime: "volatile", trend: "bearish", confidence: 0.82, volatility: 0.021, symbols_analyzed: 1, symbol_details: { AAPL: { regime: "stable", trend: "bullish", volatility: 0.01, trend_strength: 0.4, data_points: 20 } } });
bus.publish("strategy.candidate", { agent_id: "overview-1", symbol: "AAPL", strategy: "momentum", action: "buy", score: 0.91 });

for (const scheme of ["dark", "light"]) {
  await withPage({ size: DESKTOP, scheme }, async (page) => {
    await reads(page, ".trading strong", /Trading allowed/);
    await reads(page, "#regime .regime-word", /stable|neutral|volatile/);
    await reads(page, "#agents", /overview-1/);
    await reads(page, ".event-list", /strategy\.candidate/);
    await reads(page, "#supervision", /persister/);
    await reads(page, ".marks", /Link.*Bus.*Store/);
    const health = await call("/health");
    assert.equal(await page.locator(".instance").textContent(), health.instance);
    assert.equal(await page.evaluate(() => document.documentElement.scrollHeight > innerHeight), false, "the desk needs no scrolling");
    await audit(page);
    await page.locator(".event[data-kind=event]").first().click();
    await audit(page);
  });
  await withPage({ size: PHONE, scheme }, async (page) => {
    await reads(page, ".trading strong", /Trading allowed/);
    for (const place of ["Agents", "Events", "Regime", "Desk"]) {
      await page.getByRole("navigation").getByRole("button", { name: place, exact: true }).tap();
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, `${place} is no wider than the phone`);
      await audit(page);
    }
  });
}
bus.close();
finish();
