/** Agents and actors are commanded by role, with the effect in words before and the result after; logs are read. */
import assert from "node:assert/strict";
import { audit, finish, reads, signIn, signOut, until, withPage } from "../browser.mjs";

const { VIEWER_TOKEN, OPERATOR_TOKEN } = process.env;
const tolerate = /401|HTTP Authentication failed/; // the browser's own words before a token is given
const AGENT = "Quotes Agent";
const act = (page, name) => page.locator("#details").getByRole("button", { name, exact: true });

async function openAgent(page) {
  await page.locator(".agent", { hasText: AGENT }).first().click();
  await reads(page, "#details", /Process\s*(starting|running|stopped)/i);
}

/** Press, read the effect, press again, and wait for the result. */
async function does(page, name, effect, result) {
  await until(() => act(page, name).isEnabled(), `${name} can be pressed`);
  await act(page, name).click();
  await reads(page, "#details .question", effect);
  await audit(page);
  await act(page, `${name} now`).click();
  await reads(page, "#details .act-list .outcome", result);
}

await withPage({ tolerate }, async (page) => {
  await signIn(page, VIEWER_TOKEN);
  await page.locator(".agent", { hasText: AGENT }).first().click();
  await reads(page, "#details .why", /Start, Stop, Restart, Resume: Your role viewer may not start, stop or restart agents: that needs the role operator/);
  assert.ok(await act(page, "Stop").isDisabled());
  await audit(page);
  await signOut(page);

  await signIn(page, OPERATOR_TOKEN);
  await openAgent(page);
  await does(page, "Restart", /ends and starts anew/, /quotes-agent: (starting|running)/);
  await does(page, "Stop", /stays stopped until it is started again/, /quotes-agent: (stopping|stopped|exited)/);
  await reads(page, "#details .why", /Stop: It is stopped already/);
  await does(page, "Start", /Its process starts/, /quotes-agent: (starting|running)/);
  await reads(page, "#details .why", /Start: It runs already/);

  await act(page, "Read its log").click();
  await reads(page, "#details .log", /\d\d:\d\d:\d\d.*quotes-agent/s);
  await act(page, "Before its last crash").click();
  await reads(page, "#details", /has not crashed since the daemon started/);
  await audit(page);

  await act(page, "Close details").click();
  await page.locator("#supervision").getByRole("button", { name: /monitor/i }).first().click();
  await does(page, "Restart", /mailbox is kept/, /heartbeat-monitor is (running again, up for \d+ s|[a-z]+: its restart goes on)\./);
  await reads(page, "#details .facts", /Restarts\s*[1-9]/);
  await audit(page);
});
finish();
