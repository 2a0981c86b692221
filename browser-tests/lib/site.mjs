// A real site with this machine as its device, started by quickstart in a directory of its own; or one that runs already.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { root, selection } from "./pages.mjs";

const names = ["musterd", "muster-agent", "muster", "muster-quickstart"];

/** The directory of the programs: MUSTER_PROGRAMS, or this checkout's, built where they are not. */
function programs() {
  const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
  if (process.env.MUSTER_PROGRAMS) return process.env.MUSTER_PROGRAMS;
  const packages = selection("muster-server", "muster-agent", "muster-cli");
  // Within `./test` the programs lie beside the tests that it has built; by hand, they are built alone.
  const build = process.env.MUSTER_ARTIFACTS ? ["test", "--no-run"] : ["build", "--bins"];
  execFileSync("cargo", [...build, "--quiet", "--locked", ...packages], { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
  const built = join(target, "debug");
  for (const name of names) if (!existsSync(join(built, name))) throw new Error(`${name} was not built in ${built}`);
  return built;
}

/** Starts a program and gives its lines as they come; `ended` settles when it ends. */
function start(program, args) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  const said = [];
  const keep = (stream) => createInterface({ input: stream }).on("line", (line) => said.push(line));
  const lines = keep(child.stdout);
  keep(child.stderr);
  const ended = new Promise((done) => child.on("exit", (code) => done(code)));
  return { child, lines, said, ended };
}

/** Waits for a line of a program; fails with everything it said when it ends before. */
async function line(program, pattern) {
  return new Promise((found, failed) => {
    const look = (text) => { const match = pattern.exec(text); if (match) found(match[1]); };
    program.said.forEach(look);
    program.lines.on("line", look);
    program.ended.then((code) => failed(new Error(`ended with ${code} before ${pattern}:\n${program.said.join("\n")}`)));
  });
}

/** Starts the site. `link` signs in once; `ask` makes one more device ask to be enrolled. */
export async function startSite() {
  const directory = mkdtempSync(join(tmpdir(), "muster-site-"));
  const bin = programs();
  const quickstart = start(join(bin, "muster-quickstart"), ["--dir", join(directory, "site")]);
  const running = [quickstart];
  const muster = (...args) => execFileSync(join(directory, "site/muster"), args, { encoding: "utf8" });
  const stop = async () => {
    for (const program of running.reverse()) {
      if (program.child.exitCode === null) program.child.kill("SIGINT");
      await program.ended;
    }
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const link = await line(quickstart, /Sign in\s+(http\S+)/);
    return { link, stop, ask: (name) => ask(bin, directory, name, muster, running) };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A second agent on this machine: the site sees the same host name and hardware again, and says so. */
function ask(bin, directory, name, muster, running) {
  const [token, state] = [join(directory, `${name}.token`), join(directory, name)];
  const made = JSON.parse(muster("--json", "token", "create", "--name", name));
  writeFileSync(token, made.token, { mode: 0o600 });
  execFileSync(join(bin, "muster-agent"), ["--state", state, "enrol", "--token", token], { encoding: "utf8" });
  return { run: () => running.push(start(join(bin, "muster-agent"), ["--state", state, "run"])) };
}
