//! The database of apk (Alpine): stanzas of `X:value` lines.

use super::{
    dpkg::without_address,
    files::{Files, unread},
};
use crate::os::facts::Package;

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
}
