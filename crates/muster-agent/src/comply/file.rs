//! Files of baselines: opened below a root without following links, so that nobody who may write on the way chooses what is read or
//! written; and replaced whole or not at all.

use crate::os::open_in_root;
use muster_model::{
    baseline::FileRead,
    compliance::ComplianceReason,
    glob,
    limits::{BASELINE_HASH_BYTES, BASELINE_READ_BYTES, DISCOVERED_VALUES},
};
use rustix::{
    fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Uid, XattrFlags},
    io::Errno,
};
use std::{
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

/// Why something could not be done, and one sentence about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) reason: ComplianceReason,
    pub(super) detail: String,
}

impl Problem {
    pub(super) fn new(reason: ComplianceReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    pub(super) fn of(what: &str, error: Errno) -> Self {
        match error {
            Errno::LOOP => Self::new(ComplianceReason::SymbolicLink, format!("{what} leads through a symbolic link.")),
            error => Self::new(ComplianceReason::Unreadable, format!("{what}: {error}.")),
        }
    }

    fn io(what: &str, error: &io::Error) -> Self {
        Self::new(ComplianceReason::Unreadable, format!("{what}: {error}."))
    }
}

/// Whether the links on the way are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// Inside of the root.
    Followed,
    /// A link is an error.
    Refused,
}

/// Where files are, and which directories are the agent's own: what is below these no baseline reads or writes. Whoever could would
/// say whom the agent believes.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    root: PathBuf,
    own: Vec<(u64, u64)>,
}

impl Tree {
    pub(super) fn of<'a>(root: &Path, own: impl IntoIterator<Item = &'a Path>) -> Self {
        let number = |path: &Path| std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
        Self { root: root.to_owned(), own: own.into_iter().filter_map(number).collect() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Refuses what is below the agent's own directories, whatever name led there; whether every user of the machine may come as far
    /// as to the file.
    fn guard(&self, file: impl AsFd, path: &str) -> Result<bool, Problem> {
        let failed = |error: io::Error| Problem::io(path, &error);
        let real = std::fs::read_link(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())).map_err(failed)?;
        let root = std::fs::canonicalize(&self.root).unwrap_or_else(|_| self.root.clone());
        let mut reached = true;
        for above in real.ancestors() {
            let Ok(found) = std::fs::metadata(above) else { continue };
            if self.own.contains(&(found.dev(), found.ino())) {
                return Err(Problem::new(ComplianceReason::Unreadable, format!("{path} is the agent's own.")));
            }
            if found.is_dir() && above.starts_with(&root) && above != root {
                reached &= found.mode() & 0o001 != 0;
            }
        }
        Ok(reached)
    }
}

/// What a file says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The values; `None`: it is not there, or has no such value.
    pub(super) values: Option<Vec<String>>,
    /// Whether every user of the machine may read it. What not everybody may is judged, and told to nobody.
    pub(super) open_to_all: bool,
}

/// Opens a path below a root; nothing leads out of it.
fn open(root: &Path, path: &str, flags: OFlags, links: Links) -> Result<OwnedFd, Errno> {
    let place = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut resolve = ResolveFlags::NO_MAGICLINKS;
    if links == Links::Refused {
        resolve |= ResolveFlags::NO_SYMLINKS;
    }
    let below = path.trim_start_matches('/');
    let below = if below.is_empty() { "." } else { below };
    // The kernel takes no other flag beside this one.
    let more = if flags.contains(OFlags::PATH) { OFlags::CLOEXEC } else { OFlags::CLOEXEC | OFlags::NOCTTY };
    open_in_root(&place, below, flags | more, resolve)
}

/// Whether the kernel says that there is nothing.
fn is_absent(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR)
}

/// What a file says.
pub(super) fn read(tree: &Tree, path: &str, what: &FileRead, links: Links) -> Result<Seen, Problem> {
    let failed = |error| Problem::of(path, error);
    let seen = |values, open_to_all| Ok(Seen { values, open_to_all });
    let metadata = || match open(tree.root(), path, OFlags::PATH, links) {
        Ok(file) => {
            tree.guard(&file, path)?;
            rustix::fs::fstat(&file).map(Some).map_err(failed)
        }
        Err(error) if is_absent(error) => Ok(None),
        Err(error) => Err(failed(error)),
    };
    let stated = |of: fn(&Stat) -> String| seen(metadata()?.map(|stat| vec![of(&stat)]), true);
    match what {
        FileRead::Exists => stated(|_| "true".to_owned()),
        FileRead::Mode => stated(|stat| format!("{:04o}", stat.st_mode & 0o7777)),
        FileRead::Owner => stated(|stat| stat.st_uid.to_string()),
        FileRead::Group => stated(|stat| stat.st_gid.to_string()),
        FileRead::Hash => {
            let Some((file, open_to_all)) = regular(tree, path, links)? else { return seen(None, true) };
            seen(Some(vec![hash(path, file)?]), open_to_all)
        }
        _ => {
            let Some((text, open_to_all)) = text(tree, path, links)? else { return seen(None, true) };
            let values = values(&text, what, path)?;
            if values.len() > DISCOVERED_VALUES {
                return Err(Problem::new(ComplianceReason::TooLarge, format!("{path} has more values than are read.")));
            }
            seen(Some(values).filter(|values| !values.is_empty()), open_to_all)
        }
    }
}

/// A regular file, to be read, and whether everybody may. Nothing else is opened for longer than it takes to see what it is.
fn regular(tree: &Tree, path: &str, links: Links) -> Result<Option<(File, bool)>, Problem> {
    let failed = |error| Problem::of(path, error);
    let file = match open(tree.root(), path, OFlags::RDONLY | OFlags::NONBLOCK, links) {
        Ok(file) => file,
        Err(error) if is_absent(error) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let stat = rustix::fs::fstat(&file).map_err(failed)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Problem::new(ComplianceReason::Unreadable, format!("{path} is not a regular file.")));
    }
    let reached = tree.guard(&file, path)?;
    Ok(Some((File::from(file), reached && stat.st_mode & 0o004 != 0)))
}

fn hash(path: &str, file: File) -> Result<String, Problem> {
    let (mut digest, mut buffer, mut read) = (muster_trust::Sha256::default(), vec![0; 64 << 10], 0_u64);
    let mut file = file;
    loop {
        let count = file.read(&mut buffer).map_err(|error| Problem::io(path, &error))?;
        if count == 0 {
            return Ok(digest.finish().to_string());
        }
        read += count as u64;
        if read > BASELINE_HASH_BYTES {
            return Err(Problem::new(ComplianceReason::TooLarge, format!("{path} is larger than what is hashed.")));
        }
        digest.update(&buffer[..count]);
    }
}

/// The text of a file of bounded size, and whether everybody may read it.
pub(super) fn text(tree: &Tree, path: &str, links: Links) -> Result<Option<(String, bool)>, Problem> {
    let Some((file, open_to_all)) = regular(tree, path, links)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(BASELINE_READ_BYTES + 1).read_to_end(&mut bytes).map_err(|error| Problem::io(path, &error))?;
    if bytes.len() as u64 > BASELINE_READ_BYTES {
        return Err(Problem::new(ComplianceReason::TooLarge, format!("{path} is larger than what is read.")));
    }
    let not_text = |_| Problem::new(ComplianceReason::NotText, format!("{path} is not a text in UTF-8."));
    String::from_utf8(bytes).map(|text| Some((text, open_to_all))).map_err(not_text)
}

/// The values that a text has.
fn values(text: &str, what: &FileRead, path: &str) -> Result<Vec<String>, Problem> {
    let lines = || text.lines().map(str::trim);
    let counts = |line: &&str| !line.is_empty() && !line.starts_with(['#', ';']);
    Ok(match what {
        FileRead::Line { pattern } => {
            let pattern = glob::Pattern::new(pattern);
            let fits = |line: &&str| pattern.fits(&line.chars().collect::<Vec<_>>());
            lines().filter(fits).map(str::to_owned).collect()
        }
        FileRead::Key { key, separator, last } => {
            let value = |line| value_of(line, key, separator.as_deref());
            let mut values: Vec<String> = lines().filter(counts).filter_map(value).map(str::to_owned).collect();
            if *last {
                values.reverse();
            }
            values
        }
        FileRead::Ini { section, key } => ini(lines().filter(counts), section, key),
        FileRead::Json { pointer } => {
            let not_text = |_| Problem::new(ComplianceReason::NotText, format!("{path} is not JSON."));
            let whole: serde_json::Value = serde_json::from_str(text).map_err(not_text)?;
            whole.pointer(pointer).map(json).unwrap_or_default()
        }
        FileRead::Exists | FileRead::Mode | FileRead::Owner | FileRead::Group | FileRead::Hash => Vec::new(),
    })
}

/// The value of a line `key = value`, `key value`, or with a separator of its own.
fn value_of<'a>(line: &'a str, key: &str, separator: Option<&str>) -> Option<&'a str> {
    let rest = line.strip_prefix(key.trim())?;
    let value = match separator.map(str::trim) {
        Some("") | None => {
            let after = rest.trim_start();
            match after.strip_prefix('=') {
                Some(value) if separator.is_none() => value,
                _ if after.len() < rest.len() || rest.is_empty() => after,
                _ => return None,
            }
        }
        Some(separator) => rest.trim_start().strip_prefix(separator)?,
    };
    Some(value.trim())
}

fn ini<'a>(lines: impl Iterator<Item = &'a str>, section: &str, key: &str) -> Vec<String> {
    let (mut here, mut values) = (section.is_empty(), Vec::new());
    for line in lines {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(name) => here = name.trim() == section,
            None if here => values.extend(value_of(line, key, Some("=")).map(str::to_owned)),
            None => {}
        }
    }
    values
}

fn json(value: &serde_json::Value) -> Vec<String> {
    match value {
        serde_json::Value::Null => Vec::new(),
        serde_json::Value::String(text) => vec![text.clone()],
        serde_json::Value::Array(list) => list.iter().flat_map(json).collect(),
        other => vec![other.to_string()],
    }
}

/// A directory, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    device: u64,
    inode: u64,
}

impl Place {
    fn of(directory: impl AsFd) -> Result<Self, Errno> {
        let stat = rustix::fs::fstat(directory)?;
        Ok(Self { device: stat.st_dev, inode: stat.st_ino })
    }
}

/// The directory that a file is in; `None`: no way leads there without a link.
pub(super) fn place(tree: &Tree, path: &str) -> Option<Place> {
    let (directory, _) = path.rsplit_once('/')?;
    Place::of(open(tree.root(), directory, OFlags::PATH | OFlags::DIRECTORY, Links::Refused).ok()?).ok()
}

/// Refuses to go on where a path leads to another directory than before: it was moved, or something was put or mounted in its place.
fn stays(tree: &Tree, path: &str, before: Option<Place>) -> Result<(), Problem> {
    match place(tree, path) {
        Some(now) if Some(now) == before => Ok(()),
        _ => {
            let detail = format!("The directory of {path} is another one than when it was looked at.");
            Err(Problem::new(ComplianceReason::Moved, detail))
        }
    }
}

/// Gives a file its content, its mode, or both. What is not said stays; a new file is root's, and everybody's to read.
///
/// The directory is reached without a link, the new file is made beside the old one under a name that nobody could foresee, and takes its
/// place. A link under the name itself is replaced and not followed, and of a file that has a second name nothing is changed in place.
///
/// The owner, the access list and the label of the old file stay, where nobody but the directory's own administrator can have made it.
///
/// `seen` is where the file was when it was looked at: nothing is changed anywhere else.
pub(super) fn put(
    tree: &Tree,
    path: &str,
    content: Option<&[u8]>,
    mode: Option<u32>,
    seen: Option<Place>,
) -> Result<(), Problem> {
    let failed = |error| Problem::of(path, error);
    let (directory, name) = path.rsplit_once('/').ok_or_else(|| failed(Errno::INVAL))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let directory = open(tree.root(), directory, flags, Links::Refused).map_err(failed)?;
    tree.guard(&directory, path)?;
    let here = Some(Place::of(&directory).map_err(failed)?);
    if here != seen {
        return stays(tree, path, None);
    }
    // As late as can be: what is opened leads to the directory even after it was moved elsewhere.
    let stays = || stays(tree, path, here);
    let before = match rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Some(stat).filter(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile),
        Err(Errno::NOENT) => None,
        Err(error) => return Err(failed(error)),
    };
    match content {
        Some(content) => replace((&directory, name, path), content, mode, before.as_ref(), stays),
        None => change((&directory, name, path), mode.unwrap_or(0o644), stays),
    }
}

/// The mode alone, of the very file that was opened.
fn change(
    (directory, name, path): (&OwnedFd, &str, &str),
    mode: u32,
    stays: impl Fn() -> Result<(), Problem>,
) -> Result<(), Problem> {
    let failed = |error| Problem::of(path, error);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, name, flags, Mode::empty()).map_err(failed)?;
    let stat = rustix::fs::fstat(&file).map_err(failed)?;
    // A second name may be that of a file that somebody else must not get at.
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink != 1 {
        let detail = format!("{path} is not a regular file with one name.");
        return Err(Problem::new(ComplianceReason::Unreadable, detail));
    }
    stays()?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(failed)?;
    rustix::fs::fsync(&file).map_err(failed)
}

fn replace(
    (directory, name, path): (&OwnedFd, &str, &str),
    content: &[u8],
    mode: Option<u32>,
    before: Option<&Stat>,
    stays: impl Fn() -> Result<(), Problem>,
) -> Result<(), Problem> {
    let failed = |error| Problem::of(path, error);
    let io_failed = |error: io::Error| Problem::io(path, &error);
    let mut random = [0; 16];
    muster_trust::random(&mut random).map_err(|_| failed(Errno::IO))?;
    let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let beside = format!(".muster-{digits}");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, &beside, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
    let mut file = File::from(file);
    // Who may write in the directory may have made the file, and would keep what root writes.
    let place = rustix::fs::fstat(directory).map_err(failed)?;
    let ours = place.st_uid == rustix::process::geteuid().as_raw() && place.st_mode & 0o022 == 0;
    let most = if ours { 0o777 } else { 0o755 };
    let mode = mode.unwrap_or_else(|| before.map_or(0o644, |stat| stat.st_mode & most));
    let written = (|| {
        file.write_all(content).map_err(io_failed)?;
        if let Some(stat) = before {
            if ours {
                own(file.as_fd(), stat).map_err(failed)?;
            }
            labels(directory, name, &file, ours).map_err(failed)?;
        }
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(failed)?;
        file.sync_all().map_err(io_failed)?;
        stays()?;
        rustix::fs::renameat(directory, &beside, directory, name).map_err(failed)
    })();
    if written.is_err() {
        let _ = rustix::fs::unlinkat(directory, &beside, AtFlags::empty());
    }
    written?;
    rustix::fs::fsync(directory).map_err(failed)
}

/// The owner of the file that was there before, where this process may give files away.
fn own(file: impl AsFd, before: &Stat) -> Result<(), Errno> {
    let now = rustix::fs::fstat(&file)?;
    if (now.st_uid, now.st_gid) == (before.st_uid, before.st_gid) {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(before.st_uid), Gid::from_raw(before.st_gid));
    rustix::fs::fchown(&file, Some(user), Some(group))
}

/// The label of SELinux, and where nobody else can have made the old file its access list and what programs attached to it: all of it or
/// an error, because a file without its label is one that its daemon cannot read.
fn labels(directory: &OwnedFd, name: &str, new: &File, ours: bool) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let old = rustix::fs::openat(directory, name, flags, Mode::empty())?;
    let (mut names, mut value) = (vec![0_u8; 64 << 10], vec![0_u8; 64 << 10]);
    let length = match rustix::fs::flistxattr(&old, names.as_mut_slice()) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => return Ok(()),
        Err(error) => return Err(error),
    };
    for label in names[..length].split(|byte| *byte == 0).filter(|label| !label.is_empty()) {
        let others = label == b"system.posix_acl_access" || label.starts_with(b"user.");
        if label != b"security.selinux" && !(ours && others) {
            continue;
        }
        let size = rustix::fs::fgetxattr(&old, label, value.as_mut_slice())?;
        rustix::fs::fsetxattr(new, label, &value[..size], XattrFlags::empty())?;
    }
    Ok(())
}

/// Writes into a file of the kernel that is there, without following a link.
pub(super) fn write_kernel(tree: &Tree, path: &str, content: &[u8]) -> Result<(), Problem> {
    let file =
        open(tree.root(), path, OFlags::WRONLY | OFlags::NONBLOCK, Links::Refused).map_err(|e| Problem::of(path, e))?;
    File::from(file).write_all(content).map_err(|error| Problem::io(path, &error))
}

#[cfg(test)]
mod tests;
