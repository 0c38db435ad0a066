/** Behind nginx, under a path of its own: files, calls, live link, address and reference all stay below it. */
import assert from "node:assert/strict";
import { BASE, Bus, finish, reads, withPage } from "../browser.mjs";

const bus = new Bus();
const prefix = new URL(BASE).pathname;
const asked = [];
const watch = (page) => {
  page.on("request", (request) => asked.push(new URL(request.url())));
  page.on("websocket", (socket) => asked.push(new URL(socket.url())));
};

await withPage({ path: "", tolerate: /503/ }, async (page) => {
  assert.equal(page.url(), `${BASE}/`, "without its slash it leads to the page");
  watch(page);
  await page.reload();
  await reads(page, ".marks [data-kind=up]", /Link/);
  await reads(page, ".trading strong", /Trading allowed/);
  bus.beat("prefix-1");
  await reads(page, "#agents", /prefix-1/);
  bus.publish("strategy.candidate", { agent_id: "prefix-1", symbol: "AAPL" });
  await page.locator(".event[data-kind=event]").first().click();
  await reads(page, "#details .json", /prefix-1/);
  assert.match(page.url(), new RegExp(`${prefix}/\\?.*event=\\d+`));
});
await withPage({ path: "/docs/" }, async (page) => {
  watch(page);
  await reads(page, "#content", /\/bus\/events/);
  assert.equal(await page.locator(".home").evaluate((link) => link.href), `${BASE}/`);
});
assert.ok(asked.length > 50, "requests were seen");
assert.ok(asked.some(({ protocol }) => protocol === "wss:"), "the socket was seen");
const outside = asked.filter(({ protocol, pathname }) => protocol !== "data:" && !pathname.startsWith(`${prefix}/`) && pathname !== prefix);
assert.deepEqual(outside.map(String), []);
bus.close();
finish();
