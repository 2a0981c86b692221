// The browser itself: it starts, runs script, and obeys a strict content security policy. The console's stories build on it.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import test from "node:test";
import { picture, startBrowser } from "../lib/browser.mjs";

test("browser_starts_and_obeys_the_policy", async (t) => {
  const page = `<!doctype html><title>before</title><h1>Muster</h1>
    <script nonce="known">document.title = "ran"</script><script>document.title = "must not run"</script>`;
  const server = createServer((_, answer) => {
    answer.setHeader("content-type", "text/html");
    answer.setHeader("content-security-policy", "default-src 'none'; script-src 'nonce-known'");
    answer.end(page);
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  t.after(() => server.close());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const tab = await browser.newPage();
  await tab.goto(`http://127.0.0.1:${server.address().port}/`);
  assert.equal(await tab.title(), "ran");
  await picture(tab, "browser");
});
