/** A daemon with tokens: the page asks, tells a wrong one, keeps a good one for its tab, and each role does what it may. */
import assert from "node:assert/strict";
import { audit, BASE, finish, reads, until, withPage } from "../browser.mjs";

const { VIEWER_TOKEN, OPERATOR_TOKEN } = process.env;
const tolerate = /40[13]|429|WebSocket/; // the browser's own words on each refusal
const asked = (page) => page.locator("#sign-in").waitFor({ state: "visible" });

async function signIn(page, token) {
  await page.fill("#sign-in-token", token);
  await page.getByRole("button", { name: "Sign in" }).click();
}

async function signedIn(page) {
  await page.locator("#sign-in").waitFor({ state: "hidden" });
  await reads(page, ".marks [data-kind=up]", /Link/);
}

async function operator(method, path, body) {
  const headers = { Authorization: `Bearer ${OPERATOR_TOKEN}`, "Content-Type": "application/json" };
  const response = await fetch(BASE + path, { method, headers, body: body && JSON.stringify(body) });
  return response.json();
}

async function release(page, trip) {
  await page.getByRole("button", { name: "Release this stop…" }).click();
  await page.fill("#release-trip", trip.slice(-6));
  await page.fill("#release-reason", "looked, was a drill");
  await page.getByRole("button", { name: "Release this trip" }).click();
}

/** Where the token is: in this tab's storage, and nowhere else. */
async function keptForTheTabOnly(page, context, token) {
  const kept = await page.evaluate(() => ({ url: location.href, cookie: document.cookie, local: JSON.stringify(localStorage), session: JSON.stringify(sessionStorage) }));
  assert.ok(kept.session.includes(token));
  for (const place of ["url", "cookie", "local"]) assert.ok(!kept[place].includes(token), place);
  assert.deepEqual(await context.cookies(), []);
}

await withPage({ tolerate }, async (page, context) => {
  const addresses = [];
  page.on("request", (request) => addresses.push(request.url()));
  page.on("websocket", (socket) => addresses.push(socket.url()));

  await asked(page);
  await reads(page, "#sign-in-title", /^Sign in to desk-a$/);
  assert.equal(await page.locator("#sign-in .env").textContent(), "PAPER");
  await until(async () => (await page.title()) === "Sign in · desk-a", "the title says no more than whose it is");
  assert.equal(await page.locator("#strip").isVisible(), false);
  await audit(page);
  await signIn(page, "no token at all");
  await reads(page, "#sign-in .outcome", /That is no token/);
  for (let tries = 0; tries < 12; tries += 1) {
    await signIn(page, `wrong-${tries}`);
    await reads(page, "#sign-in .outcome", tries < 8 ? /does not know this token/ : /does not know|too many wrong tokens/i);
  }
  await reads(page, "#sign-in .outcome", /too many wrong tokens. Wait \d+ s/i);

  await signIn(page, VIEWER_TOKEN); // A good one is never refused for wrong ones.
  await signedIn(page);
  await keptForTheTabOnly(page, context, VIEWER_TOKEN);
  const { trip_id: trip } = await operator("POST", "/risk/killswitch", { reason: "drill" });
  await reads(page, "#killswitch .state-words", /Stopped: all agents/);
  await reads(page, ".account", /^viewer$/);
  assert.ok(await page.getByRole("button", { name: "Release this stop…" }).isDisabled());
  await reads(page, "#killswitch .why", /may not release a stop: that needs the role operator/);
  assert.ok(await page.locator("#stop").isDisabled(), "what is not allowed is not offered");
  assert.match(await page.locator("#stop").getAttribute("title"), /needs the role tripper/);
  const emit = page.getByRole("button", { name: "Test event…" });
  assert.ok(await emit.isDisabled());
  assert.match(await emit.getAttribute("title"), /may not write or mark events: that needs the role operator/);
  await audit(page);
  assert.equal((await operator("GET", "/risk/killswitch")).status, "active");
  await page.reload();
  await signedIn(page);

  const other = await context.newPage();
  await other.goto(BASE);
  await asked(other);
  await other.close();

  await page.getByRole("button", { name: "Keys and help" }).click();
  await page.getByRole("link", { name: "API reference" }).waitFor();
  await page.keyboard.press("Escape");
  await page.locator(".account").click();
  await reads(page, "#account", /may not stop trading, release/);
  await audit(page);
  await page.getByRole("button", { name: "Sign out" }).click();
  await asked(page);
  await signIn(page, OPERATOR_TOKEN);
  await signedIn(page);
  await reads(page, ".account", /^operator$/);
  await release(page, trip);
  await reads(page, ".trading strong", /Trading allowed/);
  await until(async () => (await operator("GET", "/risk/killswitch")).status === "inactive", "the stop is released");
  await keptForTheTabOnly(page, context, OPERATOR_TOKEN);

  await page.getByRole("button", { name: "Keys and help" }).click();
  await page.getByRole("link", { name: "API reference" }).click();
  await page.waitForURL(`${BASE}/docs`);
  for (const token of [VIEWER_TOKEN, OPERATOR_TOKEN]) assert.ok(!addresses.some((address) => address.includes(token)));
});
finish();
