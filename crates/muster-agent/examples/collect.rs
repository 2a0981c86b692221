//! Prints the inventory of this machine (or of the tree given as argument) as JSON; CPU time and memory go to stderr.

use muster_agent::collect::Collector;
use muster_model::time::UnixMillis;
use serde_json::json;
use std::io::Write;

fn main() -> std::io::Result<()> {
    let collector = std::env::args().nth(1).map_or_else(Collector::this_machine, Collector::at);
    let found = collector.collect(now());
    let used = cost();
    let rows: usize = found.classes.values().map(Vec::len).sum();
    let text = serde_json::to_vec_pretty(&json!({ "classes": found.classes, "unread": found.unread }))?;
    let mut out = std::io::stdout().lock();
    out.write_all(&text)?;
    out.write_all(b"\n")?;
    writeln!(std::io::stderr(), "{rows} rows in {} classes; {used}", found.classes.len())
}

#[expect(clippy::disallowed_methods, reason = "a program of one run: this is its clock")]
fn now() -> UnixMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(0))
}

/// CPU time from `/proc/self/schedstat` (nanoseconds on the CPU), peak memory from `/proc/self/status`.
fn cost() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let nanos: f64 = read("/proc/self/schedstat").split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0.0);
    let status = read("/proc/self/status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("?").trim();
    format!("{:.1} ms of CPU time, peak resident memory {peak}", nanos / 1e6)
}
