// Every page of the console as it looks with sample data, in the browser: light and dark, wide and narrow, hostile and empty.
import assert from "node:assert/strict";
import { readdirSync, rmSync } from "node:fs";
import test from "node:test";
import { picture, startBrowser } from "../lib/browser.mjs";
import { accessibility, listen, overflow } from "../lib/checks.mjs";
import { render, serve } from "../lib/pages.mjs";

test("every_page_is_quiet_fits_and_can_be_used_by_everyone", async (t) => {
  const directory = process.env.MUSTER_CONSOLE_PREVIEW ?? render();
  if (!process.env.MUSTER_CONSOLE_PREVIEW) t.after(() => rmSync(directory, { recursive: true }));
  const site = await serve(directory);
  t.after(() => site.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const pages = readdirSync(directory).filter((file) => file.endsWith(".html")).sort();
  assert.ok(pages.length > 60, `only ${pages.length} pages were rendered`);
  const findings = [];
  for (const [scheme, width] of [["light", 1360], ["dark", 1360], ["light", 390]]) {
    const context = await browser.newContext({ colorScheme: scheme, viewport: { width, height: 860 } });
    const page = await context.newPage();
    const complaints = listen(page);
    for (const file of pages) {
      await page.goto(`${site.address}/${file}`, { waitUntil: "load" });
      const wider = await overflow(page);
      if (wider > 0) findings.push(`${file} at ${width}: ${wider} pixels wider than the window`);
      if (file.startsWith("plain-") && width > 400) {
        for (const finding of await accessibility(page)) findings.push(`${file} in ${scheme}: ${finding}`);
      }
      for (const complaint of complaints.splice(0)) findings.push(`${file} in ${scheme}: ${complaint}`);
      if (file === "plain-dashboard.html" || file === "plain-devices.html") await picture(page, `sample-${file.slice(6, -5)}-${scheme}-${width}`);
    }
    await context.close();
  }
  assert.deepEqual(findings, []);
});
