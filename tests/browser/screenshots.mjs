/**
 * Pictures of the page for people: `BASE_URL=… node screenshots.mjs FOLDER [SCENE…]`.
 *
 * The daemon is real; what a scene needs to be broken is answered in its place at the network's edge.
 */
import { join } from "node:path";
import { DESKTOP, finish, PHONE, withPage } from "./browser.mjs";

const LAPTOP = { width: 1280, height: 720 };
const TRIP = { trip_id: "01M8J9243BWJ05RAWZ3E6X17HX", level: "halt", scope: "group:signals", reason: "fat finger on AAPL", triggered_by: "anna" };
const now = () => new Date().toISOString();
const checks = (bad) => ({ status: "unavailable", timestamp: now(), checks: Object.fromEntries(["redis", "postgres", "journal", "actors"].map((name) => [name, name === bad ? { ok: false, message: "Error 111 connecting to 10.0.0.7: Connection refused." } : { ok: true, message: "ok", latency_ms: 1.2 }])) });
const crowd = () => ({ status: "ok", timestamp: now(), agents: Array.from({ length: 500 }, (_, i) => ({ id: `agent-${i}`, name: `agent-${i}`, agent_group: `group-${i % 7}`, status: "active", liveness: i % 97 === 3 ? "down" : i % 83 === 5 ? "late" : "up", is_alive: i % 97 !== 3, last_beat: now(), interval_s: 5, kind: "external", version: "2.3.1" })) });

const SCENES = {
  healthy: {},
  stopped: { "/risk/killswitch": () => ({ status: "active", enabled: true, timestamp: now(), complete: false, trips: [{ ...TRIP, at: now() }], agents: { acknowledged: ["signals-1"], quiet: [], pending: ["signals-2"], unreachable: ["quotes-eu"], without_gate: [] } }) },
  unknown: { "/risk/killswitch": () => ({ status: "unknown", enabled: true, timestamp: now(), message: "Treat this as active: the latch on disk cannot be read." }) },
  "bus-down": { "/ready": () => checks("redis") },
  "store-down": { "/ready": () => checks("postgres") },
  "link-lost": "offline",
  "agents-500": { "/health/agents": crowd },
  system: {},
};
const PATHS = { system: "/?place=system" };

async function play(page, context, scene) {
  if (scene === "offline") {
    await context.setOffline(true);
    return page.waitForTimeout(9000);
  }
  for (const [path, answer] of Object.entries(scene)) await page.route(`**${path}`, (route) => route.fulfill({ status: path === "/ready" ? 503 : 200, json: answer() }));
  if (Object.keys(scene).length) await page.reload();
  return page.waitForTimeout(2500); // Let the charts fill: this is for the eye.
}

const [folder = ".", ...wanted] = process.argv.slice(2);
for (const [name, scene] of Object.entries(SCENES)) {
  if (wanted.length && !wanted.includes(name)) continue;
  for (const scheme of ["dark", "light"]) {
    for (const [device, size] of [["desktop", DESKTOP], ["laptop", LAPTOP], ["phone", PHONE]]) {
      await withPage({ size, scheme, path: PATHS[name] ?? "/", tolerate: /./ }, async (page, context) => {
        await page.locator(".event[data-kind=event]").first().waitFor({ state: "attached" });
        if (name === "system") await page.waitForTimeout(15_000); // Let the pictures fill as well.
        await play(page, context, scene);
        await page.screenshot({ path: join(folder, `dashboard-${name}-${device}-${scheme}.png`) });
      });
    }
  }
}
finish();
