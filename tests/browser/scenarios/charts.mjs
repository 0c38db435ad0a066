/** The time axis: what comes is counted, stops are marked, a span of it becomes the list's, by mouse and by keyboard. */
import assert from "node:assert/strict";
import { audit, Bus, call, finish, reads, text, until, withPage } from "../browser.mjs";

const bus = new Bus();
const tip = ".timeline .chart-tip";
const mark = `m${Date.now()}`;

/** Whether a chart has pixels of exactly the colour of a token. */
const shows = (page, chart, token) => page.evaluate(([name, wanted]) => {
  const canvas = document.querySelector(name);
  const probe = document.createElement("i");
  probe.style.color = `var(${wanted})`;
  document.body.append(probe);
  const [r, g, b] = getComputedStyle(probe).color.match(/\d+/g).map(Number);
  probe.remove();
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 0; i < data.length; i += 4) if (data[i] === r && data[i + 1] === g && data[i + 2] === b && data[i + 3] === 255) return true;
  return false;
}, [`${chart} canvas`, token]);

await withPage({}, async (page) => {
  await reads(page, ".marks [data-kind=up]", /Link/);
  for (let n = 0; n < 40; n += 1) bus.publish("strategy.candidate", { mark, n });
  for (let n = 0; n < 3; n += 1) bus.publish("quant.regime.state", { regime: "volatile", trend: "bearish", confidence: 0.8 });
  await reads(page, ".event-list", /strategy\.candidate/);
  const drawn = (token) => until(() => shows(page, ".timeline", token), `${token} is drawn`);
  const { trip_id: trip } = await call("/risk/killswitch", { reason: "charts" });
  await drawn("--chart-stop"); // Before its release, whose mark may cover it: a pixel is a second.
  await call("/risk/killswitch/release", { trip_id: trip, reason: "end" });
  for (const token of ["--chart-strategy", "--chart-release"]) await drawn(token);
  await until(() => shows(page, "#regime", "--chart-volatile"), "the ribbon is drawn");
  assert.equal(await shows(page, "#regime", "--chart-gap"), false, "what is not there is not drawn");
  await until(async () => (await call("/bus/histogram?type=strategy.candidate")).buckets.length > 0, "the daemon counts");

  const chart = page.locator(".timeline .chart");
  const box = await chart.boundingBox();
  const right = box.x + box.width;
  await page.mouse.move(box.x + 40, box.y + 20);
  await reads(page, tip, /0 events/);
  await page.mouse.move(right - 60, box.y + 20);
  await page.mouse.down();
  await page.mouse.move(right - 5, box.y + 20, { steps: 3 });
  await reads(page, tip, /events?|Stop|Release/);
  await page.mouse.up();
  await reads(page, ".as-of", /As of \d\d:\d\d:\d\d to \d\d:\d\d:\d\d UTC: \d+ events/);
  await reads(page, "#regime .panel-age", /^as of/);
  await audit(page);
  const before = await text(page, ".as-of");
  await page.locator("#filter").fill(`data.mark=${mark}`);
  await reads(page, ".event-list", /strategy\.candidate/);
  bus.publish("strategy.candidate", { mark, n: "later" });
  await reads(page, ".pause", /Resume: 1 new/);
  assert.ok(!/later/.test(await text(page, ".event-list")), "what comes is not in a span that is over");
  await page.getByRole("button", { name: "Back to now" }).click();
  await reads(page, ".event-list", /later/);
  assert.ok(await page.locator(".as-of").isHidden());
  await reads(page, "#regime .panel-age", /old$/);

  await chart.focus();
  for (const key of ["ArrowLeft", "Shift+ArrowLeft", "Shift+ArrowLeft", "Shift+PageUp", "Enter"]) await page.keyboard.press(key);
  await until(async () => /As of .*: \d+ events/.test(await text(page, ".as-of")) && (await text(page, ".as-of")) !== before, "a span is taken by keyboard");
  await page.getByRole("button", { name: "1 h" }).click();
  assert.equal(await page.getByRole("button", { name: "1 h" }).getAttribute("aria-pressed"), "true");

  const day = page.waitForResponse(/histogram\?.*buckets=144/);
  await page.getByRole("button", { name: "24 h" }).click();
  const { bucket_s: length, buckets } = await (await day).json();
  assert.equal(length, 600);
  const counted = buckets.reduce((sum, bucket) => sum + (bucket.counts.strategy ?? 0), 0);
  assert.ok(counted > 40, `a day is counted by the daemon, not by the page: ${counted}`);
  let moves = 0; // The newest bar may be a fraction of a pixel: it began a moment ago.
  await until(async () => {
    await page.mouse.move(right - 4 - (moves++ % 16), box.y + 50);
    return /10 min · [\d\u2009]+ events: .*strategy \d+/.test(await text(page, tip));
  }, "a bar of the day says what it counts");
});
bus.close();
finish();
