//! The database of dpkg (Debian, Ubuntu): stanzas of `Field: value` lines.

use super::files::{Files, TEXT_BYTES, unread};
use crate::os::facts::Package;
use std::collections::{HashMap, HashSet};

/// Bytes of the status file. 5,000 packages have 8 MB.
const STATUS_BYTES: u64 = 64 << 20;
/// Packages that are taken.
const PACKAGES: usize = 100_000;
const STATUS: &str = "/var/lib/dpkg/status";
/// Where images without a package manager keep one stanza a file.
const PARTS: &str = "/var/lib/dpkg/status.d";
/// Bytes of the list of one package's files.
const LIST_BYTES: u64 = 8 << 20;
const INFO: &str = "/var/lib/dpkg/info";

/// All installed packages; `None` when this machine has no dpkg database.
///
/// # Errors
/// A sentence, when there is one that could not be read.
pub fn packages(files: &Files) -> Result<Option<Vec<Package>>, String> {
    let mut found = Vec::new();
    let mut any = false;
    match files.bytes(STATUS, STATUS_BYTES) {
        Ok(bytes) => {
            any = true;
            found.extend(parse_status(&bytes, false).into_iter().map(|stanza| stanza.package(files)));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(unread("The packages of dpkg are not known", STATUS, &error)),
    }
    for name in files.names(PARTS).unwrap_or_default() {
        if let Ok(bytes) = files.bytes(&format!("{PARTS}/{name}"), TEXT_BYTES)
            && !name.ends_with(".md5sums")
        {
            any = true;
            found.extend(parse_status(&bytes, true).into_iter().map(|stanza| stanza.package(files)));
        }
    }
    Ok(any.then_some(found))
}

/// Which package each of these files is of, where dpkg says so: its code, with the architecture only where the package's list has it.
pub fn owners(files: &Files, wanted: &HashSet<String>) -> HashMap<String, String> {
    let mut found = HashMap::new();
    for name in files.names(INFO).unwrap_or_default() {
        let Some(package) = name.strip_suffix(".list") else { continue };
        let Ok(bytes) = files.bytes(&format!("{INFO}/{name}"), LIST_BYTES) else { continue };
        for line in String::from_utf8_lossy(&bytes).lines() {
            for path in wanted_of(line, wanted) {
                found.insert(path, format!("dpkg:{package}"));
            }
        }
    }
    found
}

/// Which of the wanted files a package means by this path. Packages of before the merge of /usr name files where a link is now.
pub(super) fn wanted_of(path: &str, wanted: &HashSet<String>) -> impl Iterator<Item = String> {
    let merged = ["/bin/", "/sbin/", "/lib"].iter().any(|old| path.starts_with(old)).then(|| format!("/usr{path}"));
    let merged = merged.filter(|path| wanted.contains(path));
    merged.into_iter().chain(wanted.contains(path).then(|| path.to_owned()))
}

/// What a stanza says about one installed package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stanza {
    /// Name.
    pub name: String,
    /// Version with epoch and revision.
    pub version: String,
    /// Architecture: `amd64`, `all`.
    pub architecture: String,
    /// Maintainer, without the mail address.
    pub maintainer: Option<String>,
    /// Whether several architectures of it can be installed side by side.
    pub side_by_side: bool,
}

impl Stanza {
    fn package(self, files: &Files) -> Package {
        let Self { name, version, architecture, maintainer, side_by_side } = self;
        // dpkg does not note when it installed a package, but it writes the list of its files then.
        let list = match side_by_side {
            true => format!("{INFO}/{name}:{architecture}.list"),
            false => format!("{INFO}/{name}.list"),
        };
        Package {
            code: format!("dpkg:{name}:{architecture}"),
            installed: files.modified(&list),
            name,
            version,
            publisher: maintainer,
            evidence: "dpkg",
        }
    }
}

/// Reads a status file; packages that are not installed (removed, with their configuration kept) are left out.
/// `bare` stanzas, those of `status.d`, have no `Status` field and count as installed.
#[must_use]
pub fn parse_status(bytes: &[u8], bare: bool) -> Vec<Stanza> {
    let mut found = Vec::new();
    let mut stanza = Fields::default();
    for line in bytes.split(|b| *b == b'\n').chain([b"".as_slice()]) {
        if line.trim_ascii_end().is_empty() {
            found.extend(std::mem::take(&mut stanza).finish(bare));
            if found.len() >= PACKAGES {
                break;
            }
        } else if !matches!(line[0], b' ' | b'\t') {
            stanza.take(line);
        }
    }
    found
}

#[derive(Default)]
struct Fields<'a> {
    name: Option<&'a str>,
    version: Option<&'a str>,
    architecture: Option<&'a str>,
    maintainer: Option<&'a str>,
    status: Option<&'a str>,
    multi: Option<&'a str>,
}

impl<'a> Fields<'a> {
    fn take(&mut self, line: &'a [u8]) {
        let Some(colon) = line.iter().position(|b| *b == b':') else { return };
        let value = || std::str::from_utf8(&line[colon + 1..]).ok().map(str::trim).filter(|v| !v.is_empty());
        match &line[..colon] {
            b"Package" => self.name = value(),
            b"Version" => self.version = value(),
            b"Architecture" => self.architecture = value(),
            b"Maintainer" => self.maintainer = value(),
            b"Status" => self.status = value(),
            b"Multi-Arch" => self.multi = value(),
            _ => {}
        }
    }

    fn finish(self, bare: bool) -> Option<Stanza> {
        let state = self.status.and_then(|s| s.split_whitespace().nth(2));
        let there = match state {
            Some(state) => {
                matches!(state, "installed" | "triggers-pending" | "triggers-awaited" | "half-configured" | "unpacked")
            }
            None => bare,
        };
        let name = self.name.filter(|n| !n.contains('/'))?;
        there.then_some(Stanza {
            name: name.to_owned(),
            version: self.version?.to_owned(),
            architecture: self.architecture.filter(|a| !a.contains('/')).unwrap_or("all").to_owned(),
            maintainer: self.maintainer.map(without_address),
            side_by_side: self.multi == Some("same"),
        })
    }
}

/// `Debian Foo Team <foo@example.org>` without the address: reports group by publisher, and an address is nobody's business.
pub(super) fn without_address(text: &str) -> String {
    match text.split_once('<') {
        Some((name, _)) if !name.trim().is_empty() => name.trim().trim_matches('"').to_owned(),
        _ => text.trim_matches(['<', '>']).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_removed_is_not_installed() {
        let text = b"Package: gone\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: amd64\n\n\
                     Package: here\nStatus: install ok installed\nMaintainer: A B <a@example.org>\nArchitecture: amd64\n\
                     Multi-Arch: same\nVersion: 2:1.0-1\nDescription: x\n Status: no field\n\n\n\
                     Package: held\nStatus: hold ok installed\nVersion: 3\nArchitecture: all";
        let found = parse_status(text, false);
        assert_eq!(found.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["here", "held"]);
        assert_eq!(found[0].maintainer.as_deref(), Some("A B"));
        assert!(found[0].side_by_side && !found[1].side_by_side);
    }

    #[test]
    fn a_name_is_never_a_path() {
        let text = b"Package: ../../etc/shadow\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n";
        assert!(parse_status(text, false).is_empty());
    }

    #[test]
    fn rubbish_is_no_package() {
        assert!(parse_status(b"\xff\xfe\0:\n:\n\n\nPackage\nPackage:\n", true).is_empty());
    }
}
