//! Files of `NAME=value` lines: `os-release`, `locale.conf`, leases and sessions of systemd, and udev's database.

use std::collections::BTreeMap;

/// Lines that are looked at.
const LINES: usize = 2_000;

/// Reads `NAME=value` lines; the value may be quoted as in a shell. The first of a repeated name counts, comments
/// and other lines do not.
#[must_use]
pub fn parse_assignments(bytes: &[u8]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in String::from_utf8_lossy(bytes).lines().take(LINES) {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else { continue };
        if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            found.entry(name.to_owned()).or_insert_with(|| unquote(value.trim()));
        }
    }
    found
}

/// Reads the properties (`E:NAME=value`) of an entry of `/run/udev/data`. The values are not quoted.
#[must_use]
pub fn parse_udev(bytes: &[u8]) -> BTreeMap<String, String> {
    String::from_utf8_lossy(bytes)
        .lines()
        .take(LINES)
        .filter_map(|line| line.strip_prefix("E:")?.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

fn unquote(value: &str) -> String {
    let quote = value.chars().next().filter(|c| *c == '"' || *c == '\'');
    let Some(inner) = quote.and_then(|q| value.strip_prefix(q)?.strip_suffix(q)) else {
        return value.to_owned();
    };
    if quote == Some('\'') || !inner.contains('\\') {
        return inner.to_owned();
    }
    let (mut out, mut escaped) = (String::with_capacity(inner.len()), false);
    for c in inner.chars() {
        escaped = c == '\\' && !escaped;
        if !escaped {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_escapes_are_taken_away() {
        let found = parse_assignments(
            b"# comment\nNAME=\"Fedora Linux\"\nID=fedora\nX='a b'\nY=\"a \\\"b\\\" \\$5 \\\\\"\nBAD NAME=1\nID=other\nQ=\"\n",
        );
        assert_eq!(found["NAME"], "Fedora Linux");
        assert_eq!(found["ID"], "fedora");
        assert_eq!(found["X"], "a b");
        assert_eq!(found["Y"], "a \"b\" $5 \\");
        assert_eq!(found["Q"], "\"");
        assert!(!found.contains_key("BAD NAME"));
    }

    #[test]
    fn udev_properties_are_the_lines_with_e() {
        let found = parse_udev(b"S:disk/by-id/x\nE:ID_FS_TYPE=ext4\nE:ID_MODEL=A=B\nG:systemd\n");
        assert_eq!((found["ID_FS_TYPE"].as_str(), found["ID_MODEL"].as_str()), ("ext4", "A=B"));
        assert_eq!(found.len(), 2);
    }
}
