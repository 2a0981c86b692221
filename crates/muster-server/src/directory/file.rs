//! What the machine's administrator wrote about a directory: where it is, who vouches for it, and with what the site binds there. Whoever
//! administers the site by API or console can neither read it nor send the password elsewhere.

use serde::Deserialize;
use std::{
    fs::File,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject};
use zeroize::Zeroizing;

/// Bytes of the file itself, of the authorities, and of the password.
const FILE_BYTES: u64 = 16 << 10;
const AUTHORITIES_BYTES: u64 = 1 << 20;
const PASSWORD_BYTES: u64 = 1 << 10;

/// `<name>.toml` in the directory of directories.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DirectoryFile {
    /// `ldaps://host[:port]`, or `ldap://host[:port]`, which is TLS as well: nothing is said before it has started.
    pub(super) server: String,
    /// File with the certificates (PEM) of the authorities that vouch for the server.
    authorities: PathBuf,
    /// Who binds.
    pub(super) bind: String,
    /// File with the password, which nobody but the server's user may read.
    password_file: PathBuf,
    /// Where the other files are looked for.
    #[serde(skip)]
    dir: PathBuf,
}

/// Host, port, and whether TLS starts with the connection.
pub(super) type Address = (String, u16, bool);

/// The bytes of a file of the machine's administrator: not more than `most`, and where it is private, nobody else's.
pub(crate) fn bytes(path: &Path, most: u64, private: bool) -> Result<Zeroizing<Vec<u8>>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = File::open(path).map_err(|error| failed(&error))?;
    let status = file.metadata().map_err(|error| failed(&error))?;
    if !status.is_file() || status.len() > most {
        return Err(failed(&"is no file, or a larger one than it may be"));
    }
    if private && status.permissions().mode() & 0o077 != 0 {
        return Err(failed(&"others can read it; run chmod 0600 on it"));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(most).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    Ok(bytes)
}

impl DirectoryFile {
    /// Reads the file about a directory. The name has the grammar of names: it leads nowhere else.
    pub(super) fn read(dir: &Path, name: &str) -> Result<Self, String> {
        let text = bytes(&dir.join(format!("{name}.toml")), FILE_BYTES, false)?;
        let text = std::str::from_utf8(&text).map_err(|_| format!("{name}.toml is no text"))?;
        let file: Self = toml::from_str(text).map_err(|error| format!("{name}.toml: {}", error.message()))?;
        if file.bind.is_empty() {
            return Err(format!("{name}.toml names nobody who binds"));
        }
        Ok(Self { dir: dir.to_owned(), ..file })
    }

    /// Certificates (DER) of those who vouch for the server.
    pub(super) fn authorities(&self) -> Result<Vec<Vec<u8>>, String> {
        let path = self.dir.join(&self.authorities);
        let pem = bytes(&path, AUTHORITIES_BYTES, false)?;
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).map(|c| c.map(|c| c.to_vec())).collect();
        match all {
            Ok(all) if !all.is_empty() => Ok(all),
            _ => Err(format!("{}: there is no certificate in it", path.display())),
        }
    }

    /// The password. A bind with a name and without a password succeeds as nobody (RFC 4513, 5.1.2), and looks as if it had worked.
    pub(super) fn password(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        let path = self.dir.join(&self.password_file);
        let mut password = bytes(&path, PASSWORD_BYTES, true)?;
        while password.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            password.pop();
        }
        if password.is_empty() { Err(format!("{}: the password is empty", path.display())) } else { Ok(password) }
    }

    /// Where the server is.
    pub(super) fn address(&self) -> Result<Address, String> {
        address(&self.server).ok_or_else(|| "server is not of the form ldaps://host:port".to_owned())
    }
}

fn address(text: &str) -> Option<Address> {
    let (rest, port, at_once) = match (text.strip_prefix("ldaps://"), text.strip_prefix("ldap://")) {
        (Some(rest), _) => (rest, 636, true),
        (_, Some(rest)) => (rest, 389, false),
        _ => return None,
    };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, digits)) if !digits.ends_with(']') => (host, digits.parse().ok()?),
        _ => (rest, port),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_host = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b));
    is_host.then(|| (host.to_owned(), port, at_once))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_server_is_ldap_with_tls_at_once_or_later() {
        let host = |text: &str| address(text).map(|(host, port, at_once)| format!("{host} {port} {at_once}"));
        assert_eq!(host("ldaps://dc1.corp.example").as_deref(), Some("dc1.corp.example 636 true"));
        assert_eq!(host("ldap://192.0.2.1:3389").as_deref(), Some("192.0.2.1 3389 false"));
        assert_eq!(host("ldaps://[2001:db8::1]").as_deref(), Some("2001:db8::1 636 true"));
        for odd in ["dc1", "ldapi:///x", "ldap://", "ldap://u@h", "ldap://h/dc=x", "https://h", "ldap://h:99999"] {
            assert_eq!(host(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_password_that_others_can_read_is_not_used() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        let text =
            "server = \"ldaps://dc1\"\nauthorities = \"ca.pem\"\nbind = \"reader\"\npassword_file = \"secret\"\n";
        fs::write(at("corp.toml"), text).unwrap();
        let file = DirectoryFile::read(temp.path(), "corp").unwrap();
        assert!(file.password().is_err() && file.authorities().is_err(), "neither is there");
        fs::write(at("secret"), "hush\n").unwrap();
        fs::set_permissions(at("secret"), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(file.password().unwrap_err().contains("chmod"));
        fs::set_permissions(at("secret"), fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(*file.password().unwrap(), b"hush");
        fs::write(at("secret"), "\n").unwrap();
        assert!(file.password().unwrap_err().contains("empty"));
        fs::write(at("odd.toml"), format!("{text}verify = false\n")).unwrap();
        assert!(DirectoryFile::read(temp.path(), "odd").unwrap_err().contains("verify"));
        assert!(DirectoryFile::read(temp.path(), "none").is_err());
    }
}
