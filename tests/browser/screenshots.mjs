/** Pictures of the page for people: `BASE_URL=… node screenshots.mjs FOLDER`. */
import { join } from "node:path";
import { DESKTOP, finish, PHONE, reads, withPage } from "./browser.mjs";

const folder = process.argv[2] ?? ".";
for (const scheme of ["dark", "light"]) {
  for (const [name, size] of [["desktop", DESKTOP], ["phone", PHONE]]) {
    await withPage({ size, scheme }, async (page) => {
      await reads(page, ".trading strong", /Trading/);
      await reads(page, ".event-list", /\S/);
      await page.waitForTimeout(2500); // Let the strips fill: this is for the eye.
      await page.screenshot({ path: join(folder, `dashboard-${name}-${scheme}.png`) });
    });
  }
}
finish();
