// One way to start the browser, and one place where screenshots go: artifacts/screenshots (or below MUSTER_ARTIFACTS).
import { mkdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

/** Starts Debian's Chromium (or the one that CHROMIUM names). Close it at the end of the test. */
export async function startBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    // Chromium refuses its sandbox to root, and containers seldom grant it to others.
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
  });
}

/** Takes a picture of the whole page as `<name>.png`. */
export async function picture(page, name) {
  const directory = join(process.env.MUSTER_ARTIFACTS ?? join(root, "artifacts"), "screenshots");
  mkdirSync(directory, { recursive: true });
  await page.screenshot({ path: join(directory, `${name}.png`), fullPage: true });
}
