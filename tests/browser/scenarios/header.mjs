/** State words and stop are wholly seen at every width, in two fonts, whatever fails and however many agents do. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { finish, reads, withPage } from "../browser.mjs";

const WIDTHS = [320, 390, 719, 720, 900, 1079, 1080, 1280, 1366, 1536, 1759, 1760, 1920];
const FONTS = ["\"DejaVu Sans\", Verdana, sans-serif", "\"DejaVu Sans Mono\", \"Courier New\", monospace"];
const probe = readFileSync(new URL("../layout_probe.mjs", import.meta.url), "utf8").replace("export async", "async");

await withPage({}, async (page) => {
  await reads(page, ".trading strong", /Trading allowed/);
  let seen = 0;
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 800 });
    for (const font of FONTS) {
      const found = await page.evaluate(`(async () => {
        document.documentElement.style.setProperty("--sans", ${JSON.stringify(font)});
        ${probe}
        return probe(Date.now());
      })()`);
      assert.deepEqual(found.wrong, [], font);
      seen += found.seen;
    }
  }
  assert.equal(seen, WIDTHS.length * FONTS.length * 8 * 16 * 2);
});
finish();
