//! Memory of a process, and of the kernel for its sockets.

use std::fs;

/// Caches of the kernel that hold what a connection needs.
const CACHES: [&str; 6] =
    ["TCP", "sock_inode_cache", "filp", "eventpoll_epi", "skbuff_head_cache", "skbuff_small_head"];

/// A line of `/proc/<pid>/status` in bytes: `VmRSS` is resident now, `VmHWM` was the most so far.
#[must_use]
pub fn status(pid: u32, name: &str) -> Option<u64> {
    parse_status(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, name)
}

/// The same, where the process runs that program: just after it was started it may still be the one that starts it.
#[must_use]
pub fn status_of(pid: u32, program: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let runs = text.lines().next()?.strip_prefix("Name:")?.trim();
    (runs == program).then(|| parse_status(&text, name)).flatten()
}

fn parse_status(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1_024)
}

/// Bytes of the kernel's caches for sockets. Only root may see them.
#[must_use]
pub fn kernel() -> Option<u64> {
    parse_slabinfo(&fs::read_to_string("/proc/slabinfo").ok()?)
}

fn parse_slabinfo(text: &str) -> Option<u64> {
    let mut bytes = 0;
    for line in text.lines().skip(2) {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        if fields.first().is_some_and(|name| CACHES.contains(name)) {
            let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
            let (pages, slabs) = (number(5)?, number(14)?);
            bytes += pages * slabs * 4_096;
        }
    }
    (bytes > 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_kernel_are_read() {
        let status = "Name:\tmusterd\nVmHWM:\t    9000 kB\nVmRSS:\t    8192 kB\n";
        assert_eq!((parse_status(status, "VmRSS"), parse_status(status, "Vm")), (Some(8 << 20), None));
        assert_eq!(status_of(std::process::id(), "init", "VmRSS"), None);
        let slabs = "slabinfo - version: 2.1\n# name ...\nTCP 10 13 2432 13 8 : tunables 0 0 0 : slabdata 3 3 0\n\
                     dentry 1 1 192 21 1 : tunables 0 0 0 : slabdata 9 9 0\n";
        assert_eq!(parse_slabinfo(slabs), Some(3 * 8 * 4_096));
        assert_eq!(parse_slabinfo("slabinfo\n#\n"), None);
    }
}
