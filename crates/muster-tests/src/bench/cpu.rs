//! CPU time of a server: of the process with all its threads, and of everything that it started.

use std::{fs, time::Duration};

/// Length of a clock tick in `/proc/<pid>/stat`; the same on every Linux.
const TICK: Duration = Duration::from_millis(10);
/// How much the ticks may say more than the scheduler's own account before threads must have ended in between.
const SLACK: Duration = Duration::from_millis(60);

/// CPU time that was used up to a moment, by two accounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// The scheduler's account of the threads that live, in nanoseconds. `/proc/<pid>/schedstat` is that of the first thread alone,
    /// so the threads are summed.
    pub threads: Duration,
    /// The process's account, which includes threads that have ended, in ticks of 10 ms.
    pub ticks: Duration,
}

impl Usage {
    /// Of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { threads: self.threads + other.threads, ticks: self.ticks + other.ticks }
    }

    /// CPU time since an earlier moment: the scheduler's account, unless threads ended and took theirs away.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let threads = self.threads.saturating_sub(earlier.threads);
        let ticks = self.ticks.saturating_sub(earlier.ticks);
        if ticks > threads + SLACK { ticks } else { threads }
    }
}

/// The first number of a `schedstat` file: nanoseconds on a CPU.
#[must_use]
pub fn parse_schedstat(text: &str) -> Option<Duration> {
    text.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// Parent and CPU time of a `stat` file. The name of the program may contain anything, also blanks and brackets.
#[must_use]
pub fn parse_stat(text: &str) -> Option<(u32, Duration)> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let parent = fields.get(1)?.parse().ok()?;
    let user: u32 = fields.get(11)?.parse().ok()?;
    let system: u32 = fields.get(12)?.parse().ok()?;
    Some((parent, TICK * (user + system)))
}

fn processes() -> impl Iterator<Item = (u32, u32, Duration)> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let (parent, ticks) = parse_stat(&fs::read_to_string(entry.path().join("stat")).ok()?)?;
        Some((pid, parent, ticks))
    })
}

fn threads(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.filter_map(|task| parse_schedstat(&fs::read_to_string(task.path().join("schedstat")).ok()?)).sum()
}

/// What a process and its descendants have used so far. Nothing, when it is gone.
#[must_use]
pub fn usage(pid: u32) -> Usage {
    let all: Vec<_> = processes().collect();
    let mut family = vec![pid];
    let mut at = 0;
    while let Some(parent) = family.get(at).copied() {
        family.extend(all.iter().filter(|(_, of, _)| *of == parent).map(|(child, _, _)| *child));
        at += 1;
    }
    let ticks = all.iter().filter(|(member, _, _)| family.contains(member)).map(|(_, _, ticks)| *ticks).sum();
    Usage { threads: family.into_iter().map(threads).sum(), ticks }
}

/// CPU time of all children of this process that have ended, in ticks.
#[must_use]
pub fn children_of_this_process() -> Duration {
    fs::read_to_string("/proc/self/stat").ok().and_then(|text| parse_children(&text)).unwrap_or_default()
}

fn parse_children(text: &str) -> Option<Duration> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(13);
    let (user, system): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(TICK * (user + system))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_kernel_are_read() {
        assert_eq!(parse_schedstat("127319 2558550 2\n"), Some(Duration::from_nanos(127_319)));
        assert_eq!(parse_schedstat(""), None);
        let stat = "42 (a (b) c) S 7 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 1 0 100 1 1";
        assert_eq!(parse_stat(stat), Some((7, Duration::from_secs(2))));
        assert_eq!(parse_stat("42 (x"), None);
        let stat = "42 (a) S 7 42 42 0 -1 4194560 100 0 0 0 150 50 30 20 20 0 1 0 100 1 1";
        assert_eq!(parse_children(stat), Some(Duration::from_millis(500)));
    }

    #[test]
    fn threads_that_end_take_nothing_away() {
        let at =
            |threads, ticks| Usage { threads: Duration::from_millis(threads), ticks: Duration::from_millis(ticks) };
        assert_eq!(at(1_505, 1_510).since(at(500, 500)), Duration::from_millis(1_005));
        assert_eq!(at(400, 1_500).since(at(500, 500)), Duration::from_secs(1));
    }

    #[test]
    fn this_process_has_used_some() {
        let before = usage(std::process::id());
        let sum: u64 = (0..2_000_000_u64).map(std::hint::black_box).sum();
        assert!(sum > 0 && usage(std::process::id()).threads > before.threads);
    }
}
