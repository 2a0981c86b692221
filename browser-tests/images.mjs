// Makes the pictures of the documents from the pages with sample data: `npm run images`. Look at them before they are committed.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { startBrowser } from "./lib/browser.mjs";
import { render, root, serve } from "./lib/pages.mjs";

const pictures = [
  ["overview", "plain-dashboard", "light"],
  ["inventory", "plain-device-software", "light"],
  ["deployment", "plain-deployment", "light"],
  ["approvals", "plain-enrolments", "light"],
];

const directory = process.env.MUSTER_CONSOLE_PREVIEW ?? render();
const site = await serve(directory);
const browser = await startBrowser();
for (const [name, page, colorScheme] of pictures) {
  const context = await browser.newContext({ colorScheme, viewport: { width: 1280, height: 800 } });
  const tab = await context.newPage();
  await tab.goto(`${site.address}/${page}.html`);
  await tab.screenshot({ path: join(root, "docs/images", `${name}.png`) });
  await context.close();
}
await browser.close();
site.stop();
if (!process.env.MUSTER_CONSOLE_PREVIEW) rmSync(directory, { recursive: true });
