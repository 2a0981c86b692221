// Renders every page with its sample data, and serves them as the site would: the same content security policy, nothing else.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join, normalize, resolve } from "node:path";

export const root = resolve(new URL(".", import.meta.url).pathname, "../..");

/** What cargo is asked to build: some packages; or, within `./test`, all of them, as that has built them already. */
export function selection(...packages) {
  return process.env.MUSTER_ARTIFACTS ? ["--workspace"] : packages.flatMap((name) => ["--package", name]);
}

/** Renders all pages into a fresh directory. */
export function render() {
  const directory = mkdtempSync(join(tmpdir(), "muster-pages-"));
  const test = ["test", "--quiet", "--locked", ...selection("muster-server"), "--lib", "pages_can_be_looked_at"];
  const env = { ...process.env, MUSTER_CONSOLE_PREVIEW: directory };
  execFileSync("cargo", test, { cwd: root, env, stdio: ["ignore", "ignore", "inherit"] });
  return directory;
}

export const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
  "form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
const types = { ".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml" };

/** Starts the server; returns its address and how to stop it. */
export async function serve(directory) {
  const server = createServer((question, answer) => {
    const path = normalize(decodeURIComponent(new URL(question.url, "http://x").pathname));
    const file = join(directory, path);
    if (path === "/events") return answer.writeHead(200, { "content-type": "text/event-stream" }).write(":\n\n");
    // What pages ask for by themselves is not there: their own refresh.
    if (!existsSync(file) || path.endsWith("/")) return answer.writeHead(204).end();
    answer.writeHead(200, { "content-type": types[extname(file)] ?? "text/plain", "content-security-policy": policy });
    answer.end(readFileSync(file));
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  return { address: `http://127.0.0.1:${server.address().port}`, stop: () => server.close() };
}
