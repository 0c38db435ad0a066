/** Two thousand events a second: the list samples and says so, the page stays small and quick. */
import assert from "node:assert/strict";
import { Bus, finish, reads, until, withPage } from "../browser.mjs";

const PER_SECOND = 2000;
const bus = new Bus();
let sent = 0;
const pump = setInterval(() => {
  for (let i = 0; i < PER_SECOND / 50; i += 1) bus.publish("data.market.AAPL.1m", { symbol: "AAPL", price: 187.32, n: (sent += 1), source: "burst-1" });
}, 20);

await withPage({}, async (page, context) => {
  await reads(page, ".event-status", /Showing 1 in \d+/);
  const session = await context.newCDPSession(page);
  await session.send("Performance.enable");
  const measure = async () => Object.fromEntries((await session.send("Performance.getMetrics")).metrics.map((m) => [m.name, m.value]));
  const before = await measure();
  const seenBefore = sent;
  await until(() => sent - seenBefore > 4 * PER_SECOND, "four seconds' worth of events");
  const after = await measure();
  const share = (after.ScriptDuration - before.ScriptDuration) / (after.Timestamp - before.Timestamp);
  const tasks = (after.TaskDuration - before.TaskDuration) / (after.Timestamp - before.Timestamp);
  process.stdout.write(`# script ${(share * 100).toFixed(1)} %, main thread ${(tasks * 100).toFixed(1)} % of a core, ${after.Nodes} nodes, ${(after.JSHeapUsedSize / 1e6).toFixed(1)} MB\n`);
  assert.ok(share < 0.3, `scripting takes ${share} of a core`);
  assert.ok((await page.locator(".event").count()) < 120, "only rows in sight are in the page");
  await page.locator(".pause").click();
  await reads(page, ".event-status", /Paused/);
  await reads(page, ".pause", /Resume: .*new/);
  clearInterval(pump);
});
bus.close();
finish();
