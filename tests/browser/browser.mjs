/** Chromium as the machine has it, for one scenario: a new profile, nothing from or to the outside. */

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync", ...(process.env.CHROMIUM_ARGS?.split(";") ?? [])];
export const BASE = process.env.BASE_URL;
export const DESKTOP = { width: 1440, height: 900 };
export const PHONE = { width: 390, height: 844 };
const LIMIT_MS = 20_000;
/** However busy the machine is, no wait is longer than this many times its limit. */
const BUSY_FACTOR = 6;

/** Open the page, run `steps(page, context)`, and fail on whatever the page complained about. */
export async function withPage({ size = DESKTOP, scheme = "dark", path = "/", tolerate = /^$/ }, steps) {
  const profile = mkdtempSync(join(tmpdir(), "orchestrator-browser-"));
  const phone = size === PHONE;
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ARGS, viewport: size, colorScheme: scheme,
    ignoreHTTPSErrors: BASE.startsWith("https:"), isMobile: phone, hasTouch: phone, deviceScaleFactor: phone ? 2 : 1,
  });
  context.setDefaultTimeout(LIMIT_MS);
  try {
    const page = context.pages()[0] ?? (await context.newPage());
    const complaints = [];
    page.on("pageerror", (error) => complaints.push(error.stack));
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    await page.goto(BASE + path);
    await steps(page, context);
    assert.deepEqual(complaints.filter((words) => !tolerate.test(words)), []);
  } finally {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

/** Milliseconds since some moment, less those in which a task had to wait for a processor (see quiet_clock.py). */
function quietMs() {
  let waited = 0;
  try {
    waited = Number(/^some .*total=(\d+)/m.exec(readFileSync("/proc/pressure/cpu", "utf8"))[1]) / 1000;
  } catch {
    // The kernel does not count.
  }
  return performance.now() - waited;
}

/** Wait until `condition()` (asked each 50 ms) is true; `seen()` adds to the failure what there is instead. */
export async function until(condition, what, limitMs = LIMIT_MS, seen = () => "") {
  const end = quietMs() + limitMs;
  const latest = performance.now() + BUSY_FACTOR * limitMs;
  while (!(await condition())) {
    assert.ok(quietMs() < end && performance.now() < latest, `not within ${limitMs / 1000} s: ${what}${seen()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export async function signIn(page, token) {
  await page.locator("#sign-in").waitFor({ state: "visible" });
  await page.fill("#sign-in-token", token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.locator("#sign-in").waitFor({ state: "hidden" });
  await reads(page, ".marks [data-kind=up]", /Link/);
}

export async function signOut(page) {
  await page.locator(".account").click();
  await page.getByRole("button", { name: "Sign out" }).click();
}

export const text = (page, selector) => page.locator(selector).first().textContent();

/** Wait for an element's text to match. */
export function reads(page, selector, pattern, limitMs) {
  let found = "";
  return until(async () => pattern.test((found = (await text(page, selector)) ?? "")), `${selector} reads ${pattern}`, limitMs, () => `, it reads: ${found}`);
}

/** Fail on what axe finds serious, contrast included. */
export async function audit(page) {
  const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  await page.evaluate(axe); // Not as a script tag: the page's policy allows no foreign one.
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa"] }));
  const serious = violations.filter((v) => ["serious", "critical"].includes(v.impact));
  assert.deepEqual(serious.map((v) => `${v.id}: ${v.nodes.slice(0, 4).map((n) => `${n.target} ${n.any[0]?.message ?? ""}`).join(" | ")}`), []);
}

export async function call(path, body) {
  const response = await fetch(BASE + path, body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  return response.json();
}

/** A plain publisher, as any agent in any language would be. */
export class Bus {
  constructor(url = process.env.REDIS_URL) {
    const { hostname, port, password, username } = new URL(url);
    this.socket = createConnection(Number(port), hostname);
    this.socket.resume();
    if (password) this.socket.write(frame("AUTH", ...(username ? [username] : []), decodeURIComponent(password)));
  }

  publish(channel, payload) {
    this.socket.write(frame("PUBLISH", channel, typeof payload === "string" ? payload : JSON.stringify(payload)));
  }

  beat(id, more = {}) {
    this.publish(`heartbeat.${id}`, { agent_id: id, name: id, group: "test", status: "running", interval_s: 5, timestamp: new Date().toISOString(), ...more });
  }

  close() {
    this.socket.end();
  }
}

const frame = (...words) => `*${words.length}\r\n${words.map((w) => `$${Buffer.byteLength(w)}\r\n${w}\r\n`).join("")}`;

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Ask whoever started this scenario for something (to kill the daemon, say), and wait until it is done. */
export async function request(what) {
  process.stdout.write(`${what}\n`);
  await lines.next();
}

export const finish = () => process.stdin.destroy();
