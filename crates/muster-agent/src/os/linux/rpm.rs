//! The database of rpm: where it lies, and the headers in it.

use super::{dpkg::wanted_of, files::Files, sqlite};
use crate::os::facts::{Gaps, Package};
use rusqlite::types::ValueRef;
use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

/// Bytes of one package header. A header lists the package's files; kernel sources have 5 MB.
pub const HEADER_BYTES: usize = 32 << 20;
/// Entries of one header.
const ENTRIES: usize = 65_536;
/// Packages that are taken.
const PACKAGES: usize = 100_000;
/// Where the database lies; on new systems the first is a link to the second.
const PLACES: [&str; 2] = ["/var/lib/rpm", "/usr/lib/sysimage/rpm"];
/// Formats that only rpm itself reads, and who still has them.
const FOREIGN: [(&str, &str); 2] = [("Packages.db", "ndb (SUSE)"), ("Packages", "Berkeley DB (before 2021)")];

/// All installed packages; `None` when this machine has no rpm database of a format that can be read.
///
/// # Errors
/// A sentence, when there is one that could not be read this time.
pub fn packages(files: &Files, gaps: &mut Gaps) -> Result<Option<Vec<Package>>, String> {
    for place in PLACES {
        let path = format!("{place}/rpmdb.sqlite");
        if files.size(&path).is_some_and(|size| size > 0) {
            let real = files.real_path(&path).map_err(|e| e.to_string());
            let (found, damaged) = real
                .and_then(|real| read(&real).map_err(|e| e.to_string()))
                .map_err(|e| format!("The packages of rpm are not known: {path} could not be read ({e})."))?;
            if damaged > 0 {
                gaps.push(format!("{damaged} entries of {path} are damaged; run `rpm --rebuilddb`."));
            }
            return Ok(Some(found));
        }
        for (name, format) in FOREIGN {
            if files.size(&format!("{place}/{name}")).is_some_and(|size| size > 0) {
                gaps.push(format!(
                    "The packages of rpm are not known: {place}/{name} is in the format {format}, which the agent cannot \
                     read; `rpmdb --rebuilddb` with the sqlite backend converts it."
                ));
                return Ok(None);
            }
        }
    }
    Ok(None)
}

/// Reads the packages, and counts the headers that make no sense.
fn read(path: &Path) -> rusqlite::Result<(Vec<Package>, usize)> {
    sqlite::read(path, |database| {
        let (mut found, mut damaged) = (Vec::new(), 0);
        each(database, |blob| match blob.and_then(parse_header) {
            Some(header) => found.extend(header.package()),
            None => damaged += 1,
        })?;
        Ok((found, damaged))
    })
}

/// Hands every header of the database over; none is what is no bytes.
fn each(database: &rusqlite::Connection, mut take: impl FnMut(Option<&[u8]>)) -> rusqlite::Result<()> {
    let mut statement = database.prepare("SELECT blob FROM Packages LIMIT ?1")?;
    let mut rows = statement.query([PACKAGES])?;
    while let Some(row) = rows.next()? {
        take(match row.get_ref(0)? {
            ValueRef::Blob(blob) => Some(blob),
            _ => None,
        });
    }
    Ok(())
}

/// Which package each of these files is of, where rpm says so: its code.
pub fn owners(files: &Files, wanted: &HashSet<String>) -> HashMap<String, String> {
    let there = PLACES.into_iter().map(|place| format!("{place}/rpmdb.sqlite"));
    let Some(path) = there.into_iter().find(|path| files.size(path).is_some_and(|size| size > 0)) else {
        return HashMap::new();
    };
    let Ok(real) = files.real_path(&path) else { return HashMap::new() };
    let found = sqlite::read(&real, |database| {
        let mut found = HashMap::new();
        each(database, |blob| {
            let Some(blob) = blob else { return };
            let paths: Vec<String> = paths(blob).iter().flat_map(|path| wanted_of(path, wanted)).collect();
            if !paths.is_empty()
                && let Some(package) = parse_header(blob).and_then(Header::package)
            {
                found.extend(paths.into_iter().map(|path| (path, package.code.clone())));
            }
        })?;
        Ok(found)
    });
    // Whether the database can be read is said where the packages are.
    found.unwrap_or_default()
}

/// What a package header says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Release.
    pub release: String,
    /// Epoch.
    pub epoch: Option<u32>,
    /// Architecture; a public key that was imported has none.
    pub architecture: Option<String>,
    /// Vendor, else packager.
    pub vendor: Option<String>,
    /// When it was installed, Unix seconds.
    pub installed: Option<u32>,
}

impl Header {
    /// `None` for what is no software: rpm keeps the keys it trusts as packages named `gpg-pubkey`.
    fn package(self) -> Option<Package> {
        if self.name == "gpg-pubkey" {
            return None;
        }
        let epoch = self.epoch.filter(|e| *e > 0).map(|e| format!("{e}:")).unwrap_or_default();
        let version = format!("{epoch}{}-{}", self.version, self.release);
        let architecture = self.architecture.as_deref().unwrap_or("noarch");
        Some(Package {
            // Several versions of a kernel are installed side by side: the version is part of the key.
            code: format!("rpm:{}-{version}.{architecture}", self.name),
            name: self.name,
            version,
            publisher: self.vendor,
            installed: self.installed.map(i64::from),
            evidence: "rpm",
        })
    }
}

const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const INSTALL_TIME: u32 = 1008;
const VENDOR: u32 = 1011;
const PACKAGER: u32 = 1015;
const ARCHITECTURE: u32 = 1022;
const DIRECTORY_OF: u32 = 1116;
const BASE_NAMES: u32 = 1117;
const DIRECTORIES: u32 = 1118;
const INT32: u32 = 4;
const STRING: u32 = 6;
const STRING_ARRAY: u32 = 8;
const I18N_STRING: u32 = 9;

/// Reads a header as the database keeps it: two counts, an index of 16-byte entries, and the data they point into.
/// `None` when it is no header or has no name, version and release.
#[must_use]
pub fn parse_header(blob: &[u8]) -> Option<Header> {
    if blob.len() > HEADER_BYTES {
        return None;
    }
    let entries = usize::try_from(word(blob, 0)?).ok().filter(|n| *n <= ENTRIES)?;
    let data_bytes = usize::try_from(word(blob, 4)?).ok()?;
    let data_at = 8 + entries * 16;
    let data = blob.get(data_at..data_at.checked_add(data_bytes)?)?;
    let mut header = Header::default();
    let mut packager = None;
    for entry in blob.get(8..data_at)?.chunks_exact(16) {
        let (tag, kind, offset) = (word(entry, 0)?, word(entry, 4)?, word(entry, 8)?);
        let Some(value) = usize::try_from(offset).ok().and_then(|at| data.get(at..)) else { continue };
        match (tag, kind) {
            (NAME, STRING) => header.name = text(value)?,
            (VERSION, STRING) => header.version = text(value)?,
            (RELEASE, STRING) => header.release = text(value)?,
            (ARCHITECTURE, STRING) => header.architecture = text(value),
            (EPOCH, INT32) => header.epoch = word(value, 0),
            (INSTALL_TIME, INT32) => header.installed = word(value, 0),
            (VENDOR, STRING | I18N_STRING) => header.vendor = text(value),
            (PACKAGER, STRING | I18N_STRING) => packager = text(value),
            _ => {}
        }
    }
    header.vendor = header.vendor.or(packager);
    let whole = !header.name.is_empty() && !header.version.is_empty() && !header.release.is_empty();
    whole.then_some(header)
}

/// The files of a package, as its header names them: a list of names, for each the number of its directory, and the directories.
#[must_use]
pub fn paths(blob: &[u8]) -> Vec<String> {
    parse_paths(blob).unwrap_or_default()
}

fn parse_paths(blob: &[u8]) -> Option<Vec<String>> {
    if blob.len() > HEADER_BYTES {
        return None;
    }
    let entries = usize::try_from(word(blob, 0)?).ok().filter(|n| *n <= ENTRIES)?;
    let data_bytes = usize::try_from(word(blob, 4)?).ok()?;
    let data_at = 8 + entries * 16;
    let data = blob.get(data_at..data_at.checked_add(data_bytes)?)?;
    let find = |tag: u32, kind: u32| {
        let entry = blob.get(8..data_at)?.chunks_exact(16).find(|entry| word(entry, 0) == Some(tag))?;
        let (offset, count) = (usize::try_from(word(entry, 8)?).ok()?, usize::try_from(word(entry, 12)?).ok()?);
        // A text has at least its end, and a number four bytes: no count is larger than the data.
        (word(entry, 4)? == kind && count <= data_bytes).then_some((data.get(offset..)?, count))
    };
    let texts = |tag: u32| {
        let (bytes, count) = find(tag, STRING_ARRAY)?;
        Some(bytes.split(|b| *b == 0).take(count))
    };
    let directories: Vec<&[u8]> = texts(DIRECTORIES)?.collect();
    let (numbers, _) = find(DIRECTORY_OF, INT32)?;
    let mut found = Vec::new();
    let mut left = HEADER_BYTES;
    for (name, number) in texts(BASE_NAMES)?.zip(numbers.chunks_exact(4)) {
        let directory = directories.get(usize::try_from(word(number, 0)?).ok()?)?;
        // Many names in one long directory are more text than the header has bytes.
        left = left.checked_sub(directory.len() + name.len())?;
        found.push(String::from_utf8_lossy(&[directory, name].concat()).into_owned());
    }
    Some(found)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// A text ends with a zero byte; one of more than 4 KiB is none.
fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().take(4 << 10).position(|b| *b == 0)?;
    let text = String::from_utf8_lossy(&bytes[..end]).trim().to_owned();
    (!text.is_empty()).then_some(text)
}
