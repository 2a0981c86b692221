//! What is in the files that a scan found: their hashes, and what programs for Windows say of themselves.
//!
//! A file is opened again by its whole path, no part of which may be a link, and must then be the very one that was found. What not
//! every user of the machine may read is never read: a hash of something short and secret could be guessed. A file that did not change
//! since it was read is not read again.

use super::scan::{Found, Mark};
use crate::os::pe::{self, Version};
use muster_model::{id::Hash, policy::ScanRead};
use muster_trust::Sha256;
use rustix::fs::{Advice, CWD, Mode, OFlags, ResolveFlags};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, fs::File, io::Read, num::NonZeroU64, os::unix::fs::FileExt, time::Instant};

/// Bytes that are read at once.
const PIECE: usize = 64 << 10;
/// Bytes that reading a version counts as; it is pieces of a few kilobytes.
const VERSION_BYTES: u64 = 64 << 10;
/// Seconds for which a file has to be left alone before it counts as known: times are not finer than the kernel's clock ticks, and a
/// file may change twice in one.
const SETTLED: i64 = 5;

/// What was read of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Hash>,
    /// What it says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Whether it was asked for that.
    #[serde(default)]
    asked: bool,
}

/// What was read before.
#[derive(Debug, Default)]
pub struct Known(HashMap<Mark, Content>);

impl Known {
    /// From what [`Self::to_json`] wrote; nothing, where it is something else.
    #[must_use]
    pub fn from_json(bytes: &[u8]) -> Self {
        let list: Vec<(Mark, Content)> = serde_json::from_slice(bytes).unwrap_or_default();
        Self(list.into_iter().collect())
    }

    /// As text, to be kept.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0.iter().collect::<Vec<_>>()).unwrap_or_default()
    }

    /// How many files.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What there is to be known of the files, in their order, and how many more are to be read another time. Afterwards `known` has what was
/// read now and before, of these files and no others. `now`: Unix seconds.
pub fn read(
    files: &[Found],
    wanted: &ScanRead,
    known: &mut Known,
    deadline: Instant,
    now: i64,
) -> (Vec<Content>, usize) {
    let before = std::mem::take(&mut known.0);
    let (mut left, mut later) = (wanted.total_bytes, 0);
    let mut contents = Vec::with_capacity(files.len());
    for file in files {
        let mut content = before.get(&file.mark).cloned().unwrap_or_default();
        let hash = wanted.hash && content.hash.is_none() && file.mark.size <= wanted.file_bytes;
        let version = wanted.versions && !content.asked;
        if file.everyones && (hash || version) {
            let cost = u64::from(hash) * file.mark.size + u64::from(version) * VERSION_BYTES;
            match left.checked_sub(cost).filter(|_| Instant::now() < deadline) {
                Some(rest) => {
                    left = rest;
                    take(file, hash, version, deadline, &mut content);
                }
                None => later += 1,
            }
        }
        let is_settled = file.mark.changed.0.saturating_add(SETTLED) < now;
        if is_settled && content != Content::default() {
            known.0.insert(file.mark, content.clone());
        }
        // What was read while more was wanted is not shown once less is.
        contents.push(Content {
            hash: content.hash.filter(|_| wanted.hash && file.everyones && file.mark.size <= wanted.file_bytes),
            version: content.version.filter(|_| wanted.versions && file.everyones),
            asked: content.asked,
        });
    }
    (contents, later)
}

fn take(found: &Found, hash: bool, version: bool, deadline: Instant, content: &mut Content) {
    let Some(file) = open(found) else { return };
    if version {
        let piece = |at, count| {
            let mut bytes = vec![0; count];
            file.read_exact_at(&mut bytes, at).ok().map(|()| bytes)
        };
        let said = pe::version(&piece);
        if is_same(&file, found) {
            (content.version, content.asked) = (said, true);
        }
    }
    if hash {
        content.hash = hash_of(&file, found, deadline);
    }
}

/// Opens the file that was found, and nothing else.
fn open(found: &Found) -> Option<File> {
    let path = format!("{}/{}", found.directory.trim_end_matches('/'), found.name);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    // Being looked at does not count as being used, where the system lets that be said.
    let opened = rustix::fs::openat2(CWD, &path, flags | OFlags::NOATIME, Mode::empty(), resolve);
    let opened = match opened {
        Err(rustix::io::Errno::PERM) => rustix::fs::openat2(CWD, &path, flags, Mode::empty(), resolve),
        other => other,
    };
    let file = File::from(opened.ok()?);
    is_same(&file, found).then_some(file)
}

fn is_same(file: &File, found: &Found) -> bool {
    rustix::fs::fstat(file).is_ok_and(|stat| Mark::of(&stat) == found.mark)
}

/// The hash of the whole file as it was found; none where it changes meanwhile or the time is over.
fn hash_of(file: &File, found: &Found, deadline: Instant) -> Option<Hash> {
    let (mut digest, mut buffer, mut count) = (Sha256::default(), vec![0; PIECE], 0_u64);
    let mut reader = file.take(found.mark.size.saturating_add(1));
    loop {
        let read = reader.read(&mut buffer).ok()?;
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
        count += u64::try_from(read).ok()?;
        if Instant::now() >= deadline {
            return None;
        }
    }
    // What other programs use stays in the memory instead.
    let _ = rustix::fs::fadvise(file, 0, NonZeroU64::new(count), Advice::DontNeed);
    (count == found.mark.size && is_same(file, found)).then(|| digest.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::linux::scan::scan;
    use muster_model::policy::{ScanPath, SoftwareScan};
    use std::{
        os::unix::fs::{PermissionsExt, symlink},
        path::{Path, PathBuf},
        time::Duration,
    };

    const LATER: i64 = i64::MAX;

    fn both() -> ScanRead {
        ScanRead { hash: true, versions: true, file_bytes: 1 << 20, total_bytes: 1 << 30 }
    }

    fn place() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        std::fs::set_permissions(&root, PermissionsExt::from_mode(0o755)).unwrap();
        (directory, root)
    }

    fn found(root: &Path) -> Vec<Found> {
        let paths = vec![ScanPath { path: root.display().to_string(), names: vec!["*".to_owned()], recursive: true }];
        let wanted = SoftwareScan { paths, exclude: vec![], files: 1_000, seconds: 60, read: None };
        let mut files = scan(&wanted, soon()).files;
        files.sort_by(|a, b| a.name.cmp(&b.name));
        files
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn texts(contents: &[Content]) -> Vec<Option<String>> {
        contents.iter().map(|content| content.hash.map(|hash| hash.to_string()[..8].to_owned())).collect()
    }

    #[test]
    fn a_file_is_read_once_for_each_state_that_it_is_in() {
        let (_directory, root) = place();
        std::fs::write(root.join("a"), "abc").unwrap();
        std::fs::write(root.join("b.dll"), include_bytes!("../../../tests/samples/sorter.dll")).unwrap();
        let mut known = Known::default();
        let files = found(&root);
        let (first, later) = read(&files, &both(), &mut known, soon(), LATER);
        assert_eq!((texts(&first)[0].as_deref(), later), (Some("ba7816bf"), 0));
        assert_eq!(first[1].version.as_ref().unwrap().product.as_deref(), Some("Example Sorter"));
        // Nothing may be read any more, and everything is known, also after it was kept.
        let mut kept = Known::from_json(&known.to_json());
        assert_eq!((kept.len(), Known::from_json(b"[1]").len()), (2, 0));
        let nothing = ScanRead { total_bytes: 0, ..both() };
        assert_eq!(read(&files, &nothing, &mut kept, soon(), LATER), (first.clone(), 0));
        // As many bytes, and the time of the last writing set back: it is another state all the same.
        let times = std::fs::metadata(root.join("a")).unwrap().modified().unwrap();
        std::fs::write(root.join("a"), "abd").unwrap();
        File::options().write(true).open(root.join("a")).unwrap().set_modified(times).unwrap();
        let files = found(&root);
        assert_eq!(read(&files, &nothing, &mut kept, soon(), LATER).1, 1);
        let (second, _) = read(&files, &both(), &mut kept, soon(), LATER);
        assert!(second[0].hash.is_some() && second[0].hash != first[0].hash);
        // What changed a moment ago may change again within the same tick.
        let mut fresh = Known::default();
        read(&files, &both(), &mut fresh, soon(), files[0].mark.changed.0);
        assert!(fresh.is_empty());
        // What is gone is forgotten.
        read(&files[..1], &both(), &mut kept, soon(), LATER);
        assert_eq!(kept.len(), 1);
    }

    #[test]
    fn reading_has_bounds_and_what_is_not_everyones_is_not_read() {
        let (_directory, root) = place();
        std::fs::create_dir(root.join("closed")).unwrap();
        for (name, mode) in [("a", 0o644), ("b", 0o640), ("closed/c", 0o644), ("d", 0o644), ("e", 0o644)] {
            std::fs::write(root.join(name), if name == "d" { "longer than the limit" } else { "abc" }).unwrap();
            std::fs::set_permissions(root.join(name), PermissionsExt::from_mode(mode)).unwrap();
        }
        std::fs::set_permissions(root.join("closed"), PermissionsExt::from_mode(0o750)).unwrap();
        let files = found(&root);
        let some = ScanRead { versions: false, file_bytes: 10, total_bytes: 5, ..both() };
        let mut known = Known::default();
        // The bytes are enough for one: of a, b (not everyone's), c (its directory is closed), d (too large), e.
        let (contents, later) = read(&files, &some, &mut known, soon(), LATER);
        let hash = Some("ba7816bf".to_owned());
        assert_eq!((texts(&contents), later), (vec![hash.clone(), None, None, None, None], 1));
        let (contents, later) = read(&files, &some, &mut known, soon(), LATER);
        assert_eq!((texts(&contents), later), (vec![hash.clone(), None, None, None, hash], 0));
        let (contents, later) = read(&files, &some, &mut Known::default(), Instant::now(), LATER);
        assert!(contents.iter().all(|content| content.hash.is_none()) && later == 2);
    }

    #[test]
    fn a_file_that_was_exchanged_since_is_not_read() {
        let (_directory, root) = place();
        for name in ["inner/a", "outer/a"] {
            std::fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            std::fs::write(root.join(name), name).unwrap();
        }
        let files: Vec<Found> = found(&root).into_iter().filter(|file| file.directory.ends_with("inner")).collect();
        let none = |files: &[Found]| {
            let (contents, _) = read(files, &both(), &mut Known::default(), soon(), LATER);
            assert_eq!(contents, [Content::default()]);
        };
        // A link on the way, a link in its place, another file in its place, and one that changed.
        std::fs::rename(root.join("inner"), root.join("kept")).unwrap();
        symlink(root.join("kept"), root.join("inner")).unwrap();
        none(&files);
        std::fs::remove_file(root.join("inner")).unwrap();
        std::fs::create_dir(root.join("inner")).unwrap();
        symlink(root.join("kept/a"), root.join("inner/a")).unwrap();
        none(&files);
        std::fs::remove_file(root.join("inner/a")).unwrap();
        std::fs::rename(root.join("outer/a"), root.join("inner/a")).unwrap();
        none(&files);
        std::fs::rename(root.join("kept/a"), root.join("inner/a")).unwrap();
        std::fs::write(root.join("inner/a"), "another").unwrap();
        none(&files);
    }
}
