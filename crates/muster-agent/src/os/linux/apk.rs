//! The database of apk (Alpine): stanzas of `X:value` lines.

use super::{
    dpkg::{wanted_of, without_address},
    files::{Files, unread},
};
use crate::os::facts::Package;
use std::collections::{HashMap, HashSet};

/// Bytes of the database; it lists every file of every package.
const DATABASE_BYTES: u64 = 64 << 20;
/// Packages that are taken.
const PACKAGES: usize = 100_000;
/// The usual place, and the one on systems that keep `/lib` and `/var` apart from the image.
const PLACES: [&str; 2] = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];

/// All installed packages; `None` when this machine has no apk database.
///
/// # Errors
/// A sentence, when there is one that could not be read.
pub fn packages(files: &Files) -> Result<Option<Vec<Package>>, String> {
    for place in PLACES {
        match files.bytes(place, DATABASE_BYTES) {
            Ok(bytes) => return Ok(Some(parse_installed(&bytes))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(unread("The packages of apk are not known", place, &error)),
        }
    }
    Ok(None)
}

/// Which package each of these files is of, where apk says so: its code.
pub fn owners(files: &Files, wanted: &HashSet<String>) -> HashMap<String, String> {
    let database = PLACES.into_iter().find_map(|place| files.bytes(place, DATABASE_BYTES).ok());
    database.map(|bytes| parse_owners(&bytes, wanted)).unwrap_or_default()
}

/// Reads the files of an `installed` file: `F:` names a directory from the root on, and `R:` a file in it.
#[must_use]
pub fn parse_owners(bytes: &[u8], wanted: &HashSet<String>) -> HashMap<String, String> {
    let (mut found, mut package, mut directory) = (HashMap::new(), String::new(), String::new());
    for line in bytes.split(|b| *b == b'\n') {
        match line {
            [] => (package, directory) = (String::new(), String::new()),
            [b'P', b':', name @ ..] => package = format!("apk:{}", String::from_utf8_lossy(name).trim()),
            [b'F', b':', name @ ..] => {
                let name = String::from_utf8_lossy(name);
                directory = if name.is_empty() { String::new() } else { format!("/{name}") };
            }
            [b'R', b':', name @ ..] if !package.is_empty() => {
                let path = format!("{directory}/{}", String::from_utf8_lossy(name));
                found.extend(wanted_of(&path, wanted).map(|path| (path, package.clone())));
            }
            _ => {}
        }
    }
    found
}

/// Reads an `installed` file. When a package was installed is not in it.
#[must_use]
pub fn parse_installed(bytes: &[u8]) -> Vec<Package> {
    let mut found = Vec::new();
    let mut package = Package { evidence: "apk", ..Package::default() };
    for line in bytes.split(|b| *b == b'\n').chain([b"".as_slice()]) {
        match line {
            [] => {
                let done = std::mem::replace(&mut package, Package { evidence: "apk", ..Package::default() });
                if !done.name.is_empty() && !done.version.is_empty() {
                    found.push(Package { code: format!("apk:{}", done.name), ..done });
                }
                if found.len() >= PACKAGES {
                    break;
                }
            }
            [field, b':', value @ ..] if matches!(field, b'P' | b'V' | b'm') => {
                let value = String::from_utf8_lossy(value).trim().to_owned();
                match field {
                    b'P' => package.name = value,
                    b'V' => package.version = value,
                    _ => package.publisher = Some(without_address(&value)).filter(|p| !p.is_empty()),
                }
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stanza_is_a_package() {
        let text = b"C:Q1abc=\nP:musl\nV:1.2.5-r0\nA:x86_64\nm:Timo <timo@example.org>\nF:lib\nR:libc.so\n\nP:nameless\n\nV:1\n";
        let found = parse_installed(text);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].code.as_str(), found[0].version.as_str()), ("apk:musl", "1.2.5-r0"));
        assert_eq!(found[0].publisher.as_deref(), Some("Timo"));
    }

    #[test]
    fn a_file_is_of_the_package_that_lists_it() {
        let text =
            b"P:musl\nV:1\nF:lib\nR:libc.so\nZ:Q1=\n\nR:stray\n\nP:base\nV:1\nF:\nR:motd\nF:etc\nM:0:0:755\nR:passwd\n";
        let wanted = ["/usr/lib/libc.so", "/motd", "/etc/passwd", "/stray", "/etc/shadow"].map(str::to_owned).into();
        let found = parse_owners(text, &wanted);
        let code = |path: &str| found.get(path).map(String::as_str);
        assert_eq!(
            [code("/usr/lib/libc.so"), code("/motd"), code("/etc/passwd")],
            [Some("apk:musl"), Some("apk:base"), Some("apk:base")]
        );
        assert_eq!(found.len(), 3);
    }
}
