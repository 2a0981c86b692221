//! The write filter of this machine: an overlay over its root, so that what is written is gone after the next restart.
//!
//! Known are `overlayroot` of Debian and Ubuntu, where the lower file system stays mounted (read-only) below `/media/root-ro`, and
//! `systemd.volatile=overlay`, which hides it. An overlay that is the root of a container is no write filter.

use super::files::{Files, TABLE_BYTES, TEXT_BYTES, unread};
use crate::os::facts::Gaps;
use std::path::{Path, PathBuf};

/// The table of mounts as this process sees it.
const TABLE: &str = "/proc/self/mountinfo";
/// `OVERLAYFS_SUPER_MAGIC`, `TMPFS_MAGIC` and `RAMFS_MAGIC` of `statfs(2)`: what is there is gone after a restart, if a filter is on.
const GONE: [u64; 3] = [0x794c_7630, 0x0102_1994, 0x8584_58f6];
/// Where `overlayroot` is configured; the last word counts.
const CONFIGURED: [&str; 2] = ["/etc/overlayroot.conf", "/etc/overlayroot.local.conf"];

/// What filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// The package `overlayroot`.
    OverlayRoot,
    /// `systemd.volatile=overlay`.
    Systemd,
}

impl Provider {
    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OverlayRoot => "overlayroot",
            Self::Systemd => "systemd",
        }
    }
}

/// How a write filter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterState {
    /// There is none.
    None,
    /// It is configured, and this run of the system is without it.
    Off,
    /// Nothing reaches the lower file system.
    On,
    /// It is on, and the lower file system can be written to.
    Servicing,
}

impl FilterState {
    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Off => "off",
            Self::On => "on",
            Self::Servicing => "servicing",
        }
    }

    /// Whether the root is an overlay.
    #[must_use]
    pub const fn is_overlay(self) -> bool {
        matches!(self, Self::On | Self::Servicing)
    }
}

/// A write filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteFilter {
    /// What filters; `None`: nothing.
    pub provider: Option<Provider>,
    /// How it stands.
    pub state: FilterState,
    /// Where the lower file system is mounted, where it can be reached.
    pub lower: Option<PathBuf>,
    /// Where others are mounted below it that are filtered too, and are read-only now.
    pub below: Vec<PathBuf>,
    /// Where file systems of disks are mounted that are not filtered.
    pub beside: Vec<PathBuf>,
    /// One of `below` is mounted writable, and only its disk is not: it would become writable for everybody as soon as its disk does.
    pub half_open: bool,
}

impl WriteFilter {
    const fn plain(provider: Option<Provider>, state: FilterState) -> Self {
        Self { provider, state, lower: None, below: Vec::new(), beside: Vec::new(), half_open: false }
    }
}

/// A mount as far as it matters here.
struct Mount {
    root: String,
    point: String,
    read_only: bool,
    kind: String,
    source: String,
    lower: Option<String>,
    upper: Option<String>,
    file_system_read_only: bool,
}

impl Mount {
    /// The whole file system of a disk.
    fn is_disk(&self) -> bool {
        self.root == "/" && self.source.starts_with("/dev/")
    }
}

fn mounts(table: &str) -> Vec<Mount> {
    let parse = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let (root, point, options) = (left.next()?, left.next()?, left.next()?);
        let mut right = right.split(' ');
        let (kind, source) = (right.next()?, right.next()?);
        let own = right.next().unwrap_or_default();
        let is_ro = |options: &str| options.split(',').any(|option| option == "ro");
        // Of several lower directories the last is the lowest.
        let lower = own.split(',').find_map(|option| option.strip_prefix("lowerdir="));
        let lower = lower.and_then(|all| all.rsplit(':').next()).map(str::to_owned);
        let upper = own.split(',').find_map(|option| option.strip_prefix("upperdir=")).map(str::to_owned);
        Some(Mount {
            root: root.to_owned(),
            point: point.to_owned(),
            read_only: is_ro(options),
            kind: kind.to_owned(),
            source: source.to_owned(),
            lower,
            upper,
            file_system_read_only: is_ro(own),
        })
    };
    table.lines().filter_map(parse).collect()
}

/// Reads the write filter of a machine.
pub(super) fn of(files: &Files, gaps: &mut Gaps) -> Option<WriteFilter> {
    let table = match files.bytes(TABLE, TABLE_BYTES) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => {
            gaps.push(unread("The write filter is not known", TABLE, &error));
            return None;
        }
    };
    let text = |path: &str| files.bytes(path, TEXT_BYTES).ok().map(|b| String::from_utf8_lossy(&b).into_owned());
    let kernel = text("/proc/cmdline").unwrap_or_default();
    let configured: Vec<String> = CONFIGURED.iter().filter_map(|path| text(path)).collect();
    Some(read(&table, &kernel, &configured))
}

fn read(table: &str, kernel: &str, configured: &[String]) -> WriteFilter {
    let mounts = mounts(table);
    // What is mounted over another is listed after it.
    let at = |point: &str| mounts.iter().rfind(|mount| mount.point == point);
    let root = at("/").filter(|root| matches!(root.kind.as_str(), "overlay" | "overlayfs"));
    let lower = root.and_then(|root| root.lower.as_deref()).and_then(at).filter(|lower| lower.point != "/");
    match (root, lower) {
        (Some(root), Some(lower)) if root.source == "overlayroot" => {
            let open = !lower.file_system_read_only || !lower.read_only;
            let state = if open { FilterState::Servicing } else { FilterState::On };
            let place = PathBuf::from(&lower.point);
            let upper = root.upper.as_deref().map(Path::new);
            let disks =
                || mounts.iter().filter(|mount| mount.is_disk() && mount.point != "/" && mount.point != lower.point);
            let is_below = |mount: &&Mount| Path::new(&mount.point).starts_with(&place);
            let filters = |mount: &&Mount| upper.is_some_and(|upper| upper.starts_with(&mount.point));
            let below = disks().filter(is_below).filter(|mount| mount.file_system_read_only);
            let half_open = below.clone().any(|mount| !mount.read_only);
            let beside = disks().filter(|mount| !is_below(mount) && !filters(mount));
            WriteFilter {
                provider: Some(Provider::OverlayRoot),
                state,
                below: below.map(|mount| PathBuf::from(&mount.point)).collect(),
                beside: beside.map(|mount| PathBuf::from(&mount.point)).collect(),
                lower: Some(place),
                half_open,
            }
        }
        (Some(root), None) if root.source == "overlayroot" => {
            WriteFilter::plain(Some(Provider::OverlayRoot), FilterState::On)
        }
        (Some(_), _) if kernel.split_ascii_whitespace().any(|word| word == "systemd.volatile=overlay") => {
            WriteFilter::plain(Some(Provider::Systemd), FilterState::On)
        }
        (None, _) if wanted(configured) => WriteFilter::plain(Some(Provider::OverlayRoot), FilterState::Off),
        _ => WriteFilter::plain(None, FilterState::None),
    }
}

/// Whether the configuration of `overlayroot` asks for a filter.
fn wanted(configured: &[String]) -> bool {
    let lines = configured.iter().flat_map(|text| text.lines());
    let mut values = lines.filter_map(|line| line.trim().strip_prefix("overlayroot="));
    let value = values.next_back().map(|value| value.trim_matches(['"', '\'']));
    value.is_some_and(|value| !value.is_empty() && value != "disabled")
}

/// The write filter of the machine that this process runs on.
#[must_use]
pub fn this_machine() -> Option<WriteFilter> {
    of(&Files::open(Path::new("/")).ok()?, &mut Gaps::new())
}

/// Whether what is kept in this directory is gone after the next restart of a machine whose write filter is on.
///
/// # Errors
/// When the system does not say.
pub fn is_volatile(directory: &Path) -> std::io::Result<bool> {
    let kind = rustix::fs::statfs(directory)?.f_type;
    Ok(u64::try_from(kind).is_ok_and(|kind| GONE.contains(&kind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOWER: &str = "23 22 8:1 / /media/root-ro ro,relatime shared:2 - ext4 /dev/sda1 ro";
    const ROOT: &str = "22 1 0:20 / / rw,relatime shared:1 - overlay overlayroot rw,lowerdir=/media/root-ro,upperdir=/media/root-rw/overlay,workdir=/media/root-rw/overlay-workdir";

    fn state(table: &[&str], kernel: &str, configured: &[&str]) -> (Option<Provider>, FilterState) {
        let configured: Vec<String> = configured.iter().map(|text| (*text).to_owned()).collect();
        let filter = read(&table.join("\n"), kernel, &configured);
        (filter.provider, filter.state)
    }

    #[test]
    fn a_write_filter_is_known_by_its_mounts_and_not_by_its_configuration() {
        let on = (Some(Provider::OverlayRoot), FilterState::On);
        assert_eq!(state(&[ROOT, LOWER], "", &[]), on);
        assert_eq!(state(&[ROOT], "", &[]), on, "the lower file system cannot be reached");
        let open = LOWER.replace("/dev/sda1 ro", "/dev/sda1 rw");
        assert_eq!(state(&[ROOT, &open], "", &[]), (Some(Provider::OverlayRoot), FilterState::Servicing));
        let plain = "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw";
        let configured = ["overlayroot=\"\"\n", "# tmpfs\noverlayroot=\"tmpfs:swap=1\"\n"];
        assert_eq!(state(&[plain], "", &configured), (Some(Provider::OverlayRoot), FilterState::Off));
        for other in [&["overlayroot=\"tmpfs\"", "overlayroot=disabled"][..], &["overlayroot=''"], &[]] {
            assert_eq!(state(&[plain], "", other), (None, FilterState::None), "{other:?}");
        }
    }

    #[test]
    fn other_disks_are_filtered_or_stand_beside() {
        let filtered = "40 23 8:2 / /media/root-ro/home ro - ext4 /dev/sda2 ro";
        let bind = "41 23 8:9 /usr /media/root-ro/usr ro - ext4 /dev/sda9 ro";
        let beside = "42 22 8:3 / /var/lib/muster-agent rw - ext4 /dev/sda3 rw";
        let upper = "43 22 8:4 / /media/root-rw rw - ext4 /dev/sda4 rw";
        let found = read(&[ROOT, LOWER, filtered, bind, beside, upper].join("\n"), "", &[]);
        assert_eq!(found.below, [PathBuf::from("/media/root-ro/home")]);
        assert_eq!(found.beside, [PathBuf::from("/var/lib/muster-agent")]);
        assert!(!found.half_open);
        let half = filtered.replace("/home ro -", "/home rw -");
        assert!(
            read(&[ROOT, LOWER, &half].join("\n"), "", &[]).half_open,
            "its disk alone keeps it from being written to"
        );
    }

    #[test]
    fn a_container_has_none_and_systemd_hides_what_lies_below() {
        let container =
            "22 1 0:20 / / rw - overlay overlay rw,lowerdir=/var/lib/docker/l/A:/var/lib/docker/l/B,upperdir=/u";
        assert_eq!(state(&[container], "quiet", &[]), (None, FilterState::None));
        let found = state(&[container], "quiet systemd.volatile=overlay ro", &[]);
        assert_eq!(found, (Some(Provider::Systemd), FilterState::On));
    }
}
