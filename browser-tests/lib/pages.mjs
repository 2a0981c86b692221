// Serves a directory of rendered pages as the site would: the same content security policy, nothing else.
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

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
