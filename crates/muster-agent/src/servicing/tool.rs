//! A short run of a program of the system.

use std::{
    io::{self, Read, Write},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// How long it may run.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of what it says when it refuses.
const SAID: u64 = 1_024;

/// Runs a program with these bytes as its standard input.
///
/// # Errors
/// When it cannot be started, does not come to an end, or refuses; then with what it said.
#[expect(clippy::disallowed_methods, reason = "a tool that takes a moment is waited for, and not for ever")]
pub(super) fn run(program: &str, arguments: &[&str], input: &[u8]) -> io::Result<()> {
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that refuses before it has read everything says why below.
        let _ = stdin.write_all(input);
    }
    let begun = Instant::now();
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if begun.elapsed() > PATIENCE => {
                child.kill()?;
                child.wait()?;
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("{program} did not come to an end")));
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    if status.success() {
        return Ok(());
    }
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = stderr.take(SAID).read_to_string(&mut said);
    }
    Err(io::Error::other(format!("{program}: {}", said.lines().next().unwrap_or("it refused"))))
}
