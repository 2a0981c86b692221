//! Files of configured directories: their names, sizes and times. What is in them is read elsewhere ([`super::contents`]).
//!
//! Each directory is opened relative to the one that it is in, and without following links, so that whoever may write there cannot lead the
//! scan out of it, neither before nor while it goes on. It stays on the file system of the directory that was configured, because one that is
//! mounted below may be a server that does not answer.

use muster_model::{
    glob,
    policy::{SCAN_DEPTH, ScanPath, SoftwareScan},
};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use serde::{Deserialize, Serialize};
use std::{io, os::fd::OwnedFd, path::Path, time::Instant};

/// Entries of directories that one scan looks at.
const ENTRIES: usize = 2_000_000;
/// Entries between two looks at the clock.
const TICK: usize = 256;

/// A file that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The directory.
    pub directory: String,
    /// Its name there.
    pub name: String,
    /// Which file it is, in which state.
    pub mark: Mark,
    /// Every user of the machine may read it and pass the directories that it is in.
    pub everyones: bool,
}

/// A file in one state: as long as this is the same, so is what is in the file. Nobody but the kernel sets the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mark {
    /// The file system.
    pub device: u64,
    /// The file.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// When it was last written, Unix seconds and nanoseconds.
    pub modified: (i64, u32),
    /// When it was last changed in any way.
    pub changed: (i64, u32),
}

impl Mark {
    /// Of what the kernel says about a file.
    #[must_use]
    pub fn of(stat: &Stat) -> Self {
        let part = |nanoseconds| u32::try_from(nanoseconds).unwrap_or(0);
        Self {
            device: device(stat),
            inode: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: (stat.st_mtime, part(stat.st_mtime_nsec)),
            changed: (stat.st_ctime, part(stat.st_ctime_nsec)),
        }
    }
}

/// What a scan found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scanned {
    /// The files.
    pub files: Vec<Found>,
    /// Why there may be more.
    pub reasons: Vec<String>,
}

/// Looks for files.
#[must_use]
pub fn scan(wanted: &SoftwareScan, deadline: Instant) -> Scanned {
    let mut walk = Walk { wanted, deadline, entries: 0, found: Scanned::default(), device: 0 };
    for path in &wanted.paths {
        if let Err(stop) = walk.root(path) {
            walk.found.reasons.push(stop.to_owned());
            break;
        }
    }
    walk.found
}

struct Walk<'a> {
    wanted: &'a SoftwareScan,
    deadline: Instant,
    entries: usize,
    found: Scanned,
    /// The file system of the directory that was configured.
    device: u64,
}

/// Why the whole scan ends.
type Stop = &'static str;

/// A directory of a scan.
struct Place {
    at: String,
    depth: usize,
    /// Every user may pass it and what is above it.
    everyones: bool,
}

impl Walk<'_> {
    fn root(&mut self, path: &ScanPath) -> Result<(), Stop> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        // No part of the way is a link: who may write into one of its directories would choose where it leads.
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let opened = rustix::fs::openat2(CWD, &path.path, flags, Mode::empty(), resolve);
        let directory = match opened {
            Ok(directory) => directory,
            // A directory that this machine does not have has no files.
            Err(rustix::io::Errno::NOENT) => return Ok(()),
            Err(rustix::io::Errno::LOOP) => {
                self.found.reasons.push(format!("{} leads through a symbolic link", path.path));
                return Ok(());
            }
            Err(error) => {
                self.found.reasons.push(format!("{}: {error}", path.path));
                return Ok(());
            }
        };
        let Ok(stat) = rustix::fs::fstat(&directory) else { return Ok(()) };
        self.device = device(&stat);
        let open = |above: &Path| rustix::fs::stat(above).is_ok_and(|stat| may_pass(&stat));
        let place = Place {
            at: path.path.trim_end_matches('/').to_owned(),
            depth: 0,
            everyones: Path::new(&path.path).ancestors().all(open),
        };
        self.directory(path, directory, &place)
    }

    fn directory(&mut self, rule: &ScanPath, directory: OwnedFd, place: &Place) -> Result<(), Stop> {
        let Place { at, depth, everyones } = place;
        let mut below = Vec::new();
        let Ok(list) = Dir::read_from(&directory) else { return Ok(()) };
        for entry in list {
            self.entries += 1;
            if self.entries > ENTRIES {
                return Err("there are too many files to look at all of them");
            }
            if self.entries.is_multiple_of(TICK) && Instant::now() >= self.deadline {
                return Err("the time for the scan was over");
            }
            let Ok(entry) = entry else { break };
            let name = entry.file_name();
            let Ok(text) = name.to_str() else { continue };
            if text == "." || text == ".." || self.is_excluded(at, text) {
                continue;
            }
            let wanted = rule.names.iter().any(|pattern| glob::fits(pattern, text));
            match entry.file_type() {
                FileType::Directory if rule.recursive => below.push(text.to_owned()),
                FileType::RegularFile | FileType::Unknown if wanted || entry.file_type() == FileType::Unknown => {
                    let Ok(stat) = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
                    match FileType::from_raw_mode(stat.st_mode) {
                        FileType::Directory if rule.recursive => below.push(text.to_owned()),
                        FileType::RegularFile if wanted => self.keep(place, text, &stat)?,
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        below.sort_unstable();
        for name in below {
            if *depth + 1 >= SCAN_DEPTH {
                self.found.reasons.push(format!("{at} is too deep to look below it"));
                break;
            }
            if let Ok(inner) = open_below(&directory, &name)
                && let Ok(stat) = rustix::fs::fstat(&inner)
                && device(&stat) == self.device
            {
                let everyones = *everyones && may_pass(&stat);
                self.directory(rule, inner, &Place { at: format!("{at}/{name}"), depth: depth + 1, everyones })?;
            }
        }
        Ok(())
    }

    fn keep(&mut self, place: &Place, name: &str, stat: &Stat) -> Result<(), Stop> {
        if self.found.files.len() >= self.wanted.files as usize {
            return Err("there are more files than are wanted");
        }
        self.found.files.push(Found {
            directory: if place.at.is_empty() { "/".to_owned() } else { place.at.clone() },
            name: name.to_owned(),
            mark: Mark::of(stat),
            everyones: place.everyones && Mode::from_raw_mode(stat.st_mode).contains(Mode::ROTH),
        });
        Ok(())
    }

    fn is_excluded(&self, directory: &str, name: &str) -> bool {
        let path = format!("{directory}/{name}");
        let fits = |pattern: &String| glob::fits(pattern, if pattern.contains('/') { &path } else { name });
        self.wanted.exclude.iter().any(fits)
    }
}

fn open_below(directory: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(directory, name, flags, Mode::empty())?)
}

fn device(stat: &Stat) -> u64 {
    stat.st_dev
}

fn may_pass(stat: &Stat) -> bool {
    Mode::from_raw_mode(stat.st_mode).contains(Mode::XOTH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::symlink, path::Path, time::Duration};

    fn wanted(root: &Path, names: &[&str], exclude: &[&str]) -> SoftwareScan {
        let path = root.to_str().unwrap().to_owned();
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        SoftwareScan {
            paths: vec![ScanPath { path, names: texts(names), recursive: true }],
            exclude: texts(exclude),
            files: 100,
            seconds: 60,
            read: None,
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn names(scanned: &Scanned) -> Vec<&str> {
        scanned.files.iter().map(|file| file.name.as_str()).collect()
    }

    #[test]
    fn files_are_found_by_their_name_and_links_lead_nowhere() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap().join("root");
        let outside = root.parent().unwrap().join("outside");
        for path in [&root.join("a/b"), &root.join(".cache"), &outside] {
            std::fs::create_dir_all(path).unwrap();
        }
        for (path, text) in [("a/one.jar", "12345"), ("a/b/two.jar", ""), ("a/three.txt", ""), (".cache/four.jar", "")]
        {
            std::fs::write(root.join(path), text).unwrap();
        }
        std::fs::write(outside.join("secret.jar"), "").unwrap();
        symlink(&outside, root.join("out")).unwrap();
        symlink(outside.join("secret.jar"), root.join("link.jar")).unwrap();
        symlink(&root, root.join("a/loop")).unwrap();
        // A pipe, whose opening would wait for ever.
        rustix::fs::mknodat(CWD, root.join("pipe.jar"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let scanned = scan(&wanted(&root, &["*.jar"], &[".cache"]), soon());
        assert_eq!(names(&scanned), ["one.jar", "two.jar"]);
        assert_eq!((scanned.files[0].mark.size, scanned.reasons.len()), (5, 0));
        assert_eq!(scanned.files[1].directory, root.join("a/b").to_str().unwrap());
        let scanned = scan(&wanted(&root, &["*.jar"], &["*/a/b", "*/.cache/*"]), soon());
        assert_eq!(names(&scanned), ["one.jar"]);
        // A directory that is a link, or behind one, is not looked at.
        let through = scan(&wanted(&root.join("out"), &["*"], &[]), soon());
        assert_eq!((through.files.len(), through.reasons.len()), (0, 1));
        let through = scan(&wanted(&root.join("a/loop/a"), &["*"], &[]), soon());
        assert_eq!((through.files.len(), through.reasons.len()), (0, 1));
        assert_eq!(scan(&wanted(&root.join("never"), &["*"], &[]), soon()), Scanned::default());
    }

    #[test]
    fn a_scan_has_an_end() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        for number in 0..600 {
            std::fs::write(root.join(number.to_string()), "").unwrap();
        }
        let mut few = wanted(&root, &["*"], &[]);
        few.files = 10;
        let scanned = scan(&few, soon());
        assert_eq!((scanned.files.len(), scanned.reasons.len()), (10, 1));
        few.files = 10_000;
        let late = scan(&few, Instant::now());
        assert!(late.reasons[0].contains("time") && late.files.len() < 600, "{:?}", late.reasons);
        let deep = root.join("d/".repeat(SCAN_DEPTH + 2));
        std::fs::create_dir_all(deep).unwrap();
        assert!(scan(&wanted(&root.join("d"), &["*"], &[]), soon()).reasons[0].contains("deep"));
    }

    #[test]
    fn a_directory_that_is_exchanged_for_a_link_meanwhile_leads_nowhere() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap().join("root");
        let outside = root.parent().unwrap().join("outside");
        std::fs::create_dir_all(root.join("inner")).unwrap();
        std::fs::create_dir_all(&outside).unwrap();
        std::fs::write(outside.join("secret"), "").unwrap();
        std::fs::write(root.join("inner/plain"), "").unwrap();
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (racing, ended) = (root.clone(), stop.clone());
        let racer = std::thread::spawn(move || {
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = std::fs::rename(racing.join("inner"), racing.join("kept"));
                let _ = symlink(&outside, racing.join("inner"));
                let _ = std::fs::remove_file(racing.join("inner"));
                let _ = std::fs::rename(racing.join("kept"), racing.join("inner"));
            }
        });
        let wanted = wanted(&root, &["*"], &[]);
        for _ in 0..2_000 {
            assert!(scan(&wanted, soon()).files.iter().all(|file| file.name != "secret"));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        racer.join().unwrap();
    }
}
