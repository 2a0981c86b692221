//! Accounts of this machine, as `/etc/passwd` has them.

use super::files::{Files, TABLE_BYTES};
use std::{io, path::Path};

const PASSWD: &str = "/etc/passwd";

/// The user of an account, without the groups that the account is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// The user's number.
    pub user: u32,
    /// The number of its own group.
    pub group: u32,
}

/// The account of this name, which must have no privileges.
///
/// # Errors
/// When there is none, it cannot be looked up, or it is root's.
pub fn unprivileged(name: &str) -> io::Result<Account> {
    let bytes = Files::open(Path::new("/"))?.bytes(PASSWD, TABLE_BYTES)?;
    let missing = || io::Error::new(io::ErrorKind::NotFound, format!("{PASSWD} has no user {name:?}"));
    let account = parse_passwd(&bytes, name).ok_or_else(missing)?;
    match account.user == 0 || account.group == 0 {
        true => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("the user {name:?} is root"))),
        false => Ok(account),
    }
}

/// Looks a name up in lines of `name:password:user:group:...`.
#[must_use]
pub fn parse_passwd(bytes: &[u8], name: &str) -> Option<Account> {
    bytes.split(|b| *b == b'\n').find_map(|line| {
        let mut fields = std::str::from_utf8(line).ok()?.split(':');
        fields.next().filter(|first| *first == name && !name.is_empty())?;
        let mut number = |skip| fields.nth(skip)?.parse().ok();
        Some(Account { user: number(1)?, group: number(0)? })
    })
}

/// Name and number of a user, for people; the number alone where `/etc/passwd` does not have it, as with accounts of a directory.
#[must_use]
pub fn described(user: u32) -> String {
    let bytes = Files::open(Path::new("/")).and_then(|files| files.bytes(PASSWD, TABLE_BYTES)).unwrap_or_default();
    parse_name(&bytes, user).map_or_else(|| format!("user {user}"), |name| format!("{name} ({user})"))
}

/// Looks a number up in lines of `name:password:user:group:...`.
fn parse_name(bytes: &[u8], user: u32) -> Option<&str> {
    bytes.split(|b| *b == b'\n').find_map(|line| {
        let mut fields = std::str::from_utf8(line).ok()?.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(user)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let text = b"root:x:0:0:root:/root:/bin/sh\n\xff:x:1:1\nnob:x:7:8::/:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\nodd:x:-1:2\n";
        assert_eq!(parse_passwd(text, "nobody"), Some(Account { user: 65_534, group: 65_534 }));
        assert_eq!(parse_passwd(text, "nob"), Some(Account { user: 7, group: 8 }));
        for none in ["", "no", "odd", "nobody:x", "x"] {
            assert_eq!(parse_passwd(text, none), None, "{none}");
        }
        assert_eq!((parse_name(text, 65_534), parse_name(text, 7)), (Some("nobody"), Some("nob")));
        assert_eq!((parse_name(text, 1), parse_name(text, 8)), (None, None));
        assert!(described(4_000_000_000).ends_with("4000000000"));
        assert!(unprivileged("root").unwrap_err().to_string().contains("is root"));
        assert!(unprivileged("no-such-user").is_err());
    }
}
