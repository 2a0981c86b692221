// The main path of the console on a real site, in the browser: sign in, look around, approve, deploy and watch, verify the log.
import assert from "node:assert/strict";
import test from "node:test";
import { picture, startBrowser } from "../lib/browser.mjs";
import { accessibility, listen, overflow } from "../lib/checks.mjs";
import { startSite } from "../lib/site.mjs";

const wide = { width: 1360, height: 860 };

/** What every page of the story has to pass. */
async function sound(page, name) {
  assert.equal(await page.locator("h1").count(), 1, `${name}: one heading`);
  assert.deepEqual(await accessibility(page), [], `${name}: accessibility`);
  assert.ok((await overflow(page)) <= 0, `${name}: wider than its window`);
}

test("the_main_path_of_the_console", { timeout: 900_000 }, async (t) => {
  const given = process.env.MUSTER_CONSOLE_URL;
  const site = given ? { link: given } : await startSite();
  if (site.stop) t.after(site.stop);
  const browser = await startBrowser();
  t.after(() => browser.close());
  const context = await browser.newContext({ viewport: wide, colorScheme: "light", ignoreHTTPSErrors: true });
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  const complaints = listen(page, (text) => text.includes("401"));
  const address = new URL(site.link).origin;
  let broken = false;
  // Each step goes on where the one before ended: after a failure there is nothing to learn from the rest.
  const step = (name, body) => t.test(name, { skip: broken && "a step before failed" }, async () => {
    broken = true;
    await body();
    assert.deepEqual(complaints.splice(0), [], `${name}: the browser complains`);
    broken = false;
  });

  await step("a stranger is asked to sign in", async () => {
    await page.goto(`${address}/devices`);
    await page.getByRole("heading", { name: /Sign in to/ }).waitFor();
    await sound(page, "sign-in");
    await picture(page, "sign-in");
  });

  await step("the link signs in, once", async () => {
    await page.goto(site.link);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    const cookie = (await context.cookies()).find((c) => c.name === "muster_session");
    assert.ok(cookie.httpOnly && cookie.sameSite === "Strict");
    await sound(page, "overview");
    await picture(page, "overview");
    const other = await (await browser.newContext()).newPage();
    await other.goto(site.link);
    await other.getByRole("button", { name: "Sign in" }).click();
    await other.getByRole("alert").waitFor();
    await other.close();
  });

  await step("devices are found while typing", async () => {
    await page.getByRole("link", { name: "Devices", exact: true }).click();
    await page.locator("#list tbody tr").first().waitFor();
    await sound(page, "devices");
    await picture(page, "devices");
    const search = page.getByLabel("Search", { exact: true });
    await search.pressSequentially("no-such-device");
    await page.getByRole("heading", { name: "No device matches" }).waitFor();
    assert.match(page.url(), /search=no-such-device/, "the address can be shared");
    await search.fill("");
    await page.locator("#list tbody tr").first().waitFor();
    await page.getByRole("link", { name: "Last contact" }).click();
    await page.locator("th[aria-sort]", { hasText: "Last contact" }).waitFor();
  });

  await step("a device shows its identity and its inventory", async () => {
    await page.locator("#list tbody th a").first().click();
    await page.getByRole("heading", { name: "Identity" }).waitFor();
    await sound(page, "device");
    await picture(page, "device");
    await page.getByRole("link", { name: /^Inventory \d/ }).click();
    await page.getByRole("link", { name: /^Operating system/ }).click();
    await page.locator("dl dt", { hasText: /^Caption$/ }).waitFor();
    await page.getByRole("link", { name: /^Service/ }).or(page.getByRole("link", { name: /^Installed software/ })).first().click();
    await page.locator("#inventory table tbody tr").first().waitFor();
    await sound(page, "inventory");
    await picture(page, "inventory");
    for (const tab of ["Messages", "Timeline"]) {
      await page.getByRole("link", { name: tab, exact: true }).click();
      await page.locator(`.tabs a[aria-current]`, { hasText: tab }).waitFor();
      await sound(page, tab);
    }
    await picture(page, "timeline");
  });

  let second;
  await step("a second device asks, is looked at twice, and is approved", async () => {
    if (!site.ask) return;
    await page.getByRole("link", { name: /^Approvals/ }).click();
    await page.getByRole("heading", { name: "Nobody is waiting" }).waitFor();
    second = site.ask("second");
    // The page hears of it by itself.
    await page.getByText("Look twice.").waitFor();
    await page.locator("#pending", { hasText: "1" }).waitFor();
    await sound(page, "approvals");
    await picture(page, "approvals");
    await page.getByLabel("I compared the fingerprint with the device").check();
    await page.getByRole("button", { name: /^Approve/ }).click();
    await page.getByText("The request was approved.").waitFor();
    second.run();
  });

  await step("an application is deployed, after a preview, and its progress is live", async () => {
    await page.getByRole("link", { name: "Applications", exact: true }).click();
    await page.locator("table tbody th a").first().click();
    await page.getByRole("heading", { name: "Signatures" }).waitFor();
    await sound(page, "application");
    await page.getByRole("link", { name: "Deploy", exact: true }).click();
    await page.getByLabel(/^Name/).fill("Greeting for everybody");
    await page.getByRole("button", { name: "Preview", exact: true }).click();
    await page.getByRole("heading", { name: "This would happen" }).waitFor();
    await sound(page, "preview");
    await picture(page, "deployment-preview");
    await page.getByRole("button", { name: /^Deploy to/ }).click();
    await page.getByText("The deployment was created.").waitFor();
    await picture(page, "deployment-started");
    // Nobody reloads: the totals change under the reader's eyes.
    await page.locator(".facts.row dd", { hasText: "100 % of" }).waitFor({ timeout: 240_000 });
    await sound(page, "deployment");
    await picture(page, "deployment");
    await page.getByRole("link", { name: "Deployments", exact: true }).first().click();
    await page.getByRole("link", { name: "Greeting for everybody" }).waitFor();
    await sound(page, "deployments");
    await picture(page, "deployments");
  });

  await step("a token is shown once", async () => {
    await page.getByRole("link", { name: "Enrolment tokens" }).click();
    await page.getByLabel("What it is for").fill("The laptop of the front desk");
    await page.getByRole("button", { name: "Make token" }).click();
    await page.getByText(/^muster1\./).waitFor();
    await sound(page, "new token");
    await page.getByRole("link", { name: "Back to the tokens" }).click();
    await page.getByRole("rowheader", { name: "The laptop of the front desk" }).waitFor();
    assert.equal(await page.getByText(/muster1\./).count(), 0);
    await page.getByRole("link", { name: "Revoke The laptop of the front desk" }).click();
    await page.getByRole("button", { name: "Revoke token" }).click();
    await page.getByText("The token was revoked.").waitFor();
  });

  await step("every other page is sound", async () => {
    for (const [link, heading] of [["Status messages", "Status messages"], ["Conflicts", "Conflicts"], ["Quarantine", "Quarantine"], ["Client settings", "Client settings"], ["Site", "Site"]]) {
      await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: link, exact: true }).click();
      await page.getByRole("heading", { name: heading, exact: true, level: 1 }).waitFor();
      await sound(page, heading);
    }
    await picture(page, "site");
  });

  await step("the audit log tells all of it, and its chain is whole", async () => {
    await page.getByRole("link", { name: "Audit log" }).click();
    await page.getByText("deployment_create").first().waitFor();
    await page.getByRole("button", { name: "Verify the chain" }).click();
    await page.getByText("The chain is whole.").waitFor();
    await sound(page, "audit");
    await picture(page, "audit");
  });

  await step("dark colours stay, and a narrow window is enough", async () => {
    await page.getByRole("button", { name: "Dark colours" }).click();
    assert.equal(await page.locator("html").getAttribute("data-theme"), "dark");
    await page.getByRole("link", { name: "Overview" }).click();
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    assert.equal(await page.locator("html").getAttribute("data-theme"), "dark", "it is remembered");
    await sound(page, "overview, dark");
    await picture(page, "overview-dark");
    await page.setViewportSize({ width: 390, height: 800 });
    for (const path of ["/", "/devices", "/deployments", "/audit", "/enrolments", "/tokens", "/settings"]) {
      await page.goto(address + path);
      assert.ok((await overflow(page)) <= 0, `${path} is wider than a narrow window`);
    }
    await page.goto(`${address}/`);
    await picture(page, "overview-dark-narrow");
    await page.setViewportSize(wide);
  });

  await step("the keyboard is enough", async () => {
    await page.goto(`${address}/devices`);
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
    await page.keyboard.press("/");
    assert.equal(await page.evaluate(() => document.activeElement.id), "search");
  });

  await step("without script the basics work", async () => {
    const plain = await browser.newContext({ javaScriptEnabled: false, storageState: await context.storageState(), ignoreHTTPSErrors: true });
    const tab = await plain.newPage();
    await tab.goto(`${address}/devices`);
    await tab.getByLabel("Search", { exact: true }).fill("nothing like it");
    await tab.getByRole("button", { name: "Search" }).click();
    await tab.getByRole("heading", { name: "No device matches" }).waitFor();
    await tab.getByRole("button", { name: "Light colours" }).click();
    assert.equal(await tab.locator("html").getAttribute("data-theme"), "light");
    assert.match(tab.url(), /search=nothing/, "back where one was");
    await plain.close();
  });

  await step("who signs out is out", async () => {
    await page.goto(`${address}/`);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByText("You are signed out.").waitFor();
    await page.goto(`${address}/`);
    await page.getByRole("heading", { name: /Sign in to/ }).waitFor();
  });
});
