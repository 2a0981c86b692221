//! The keys of the site's service in the domains that it trusts: every keytab of one directory, which the administrator fills.

use crate::serve::StartError;
use muster_model::limits::KEYTAB_BYTES;
use muster_trust::kerberos::Keytab;
use std::{
    fs,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::Path,
};

/// Files of the directory.
const FILES: usize = 100;

/// The keytabs in `directory`. A directory that is not there holds none.
///
/// # Errors
/// When a file cannot be read, is no keytab with an AES key, or may be read by others: whoever reads it is the domain for this site.
pub(crate) fn keytabs(directory: &Path) -> Result<Vec<Keytab>, StartError> {
    let at = |error: io::Error| StartError::File { path: directory.to_owned(), error };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at(error)),
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>().map_err(at)?;
    paths.sort();
    if paths.len() > FILES {
        return Err(at(io::Error::other(format!("more than {FILES} files"))));
    }
    paths.iter().map(|path| keytab(path)).collect()
}

fn keytab(path: &Path) -> Result<Keytab, StartError> {
    let at = |error: io::Error| StartError::File { path: path.to_owned(), error };
    let wrong = |why| StartError::Keytab { path: path.to_owned(), why };
    let file = fs::File::open(path).map_err(at)?;
    let status = file.metadata().map_err(at)?;
    if !status.is_file() {
        return Err(wrong("is no file"));
    }
    if status.permissions().mode() & 0o077 != 0 {
        return Err(wrong("may be read or changed by others; take that away with `chmod 600`"));
    }
    if status.len() > KEYTAB_BYTES {
        return Err(wrong("is too large for a keytab"));
    }
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    file.take(KEYTAB_BYTES).read_to_end(&mut bytes).map_err(at)?;
    let keytab = Keytab::read(&bytes).map_err(|_| wrong("is not a keytab"))?;
    if keytab.entries().is_empty() {
        return Err(wrong("holds no AES key; let the domain make some for the service's account, and export it again"));
    }
    Ok(keytab)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::OpenOptionsExt;

    /// A keytab with one AES-256 key, as MIT's `ktutil` writes it.
    fn sample(kind: u8) -> Vec<u8> {
        let mut entry = vec![0, 2];
        for text in ["LAB.EXAMPLE", "muster", "site.example"] {
            entry.extend([0, u8::try_from(text.len()).unwrap()]);
            entry.extend(text.as_bytes());
        }
        entry.extend([0, 0, 0, 1, 0, 0, 0, 0, 3, 0, kind, 0, 32]);
        entry.extend([7; 32]);
        [&[5, 2, 0, 0, 0][..], &[u8::try_from(entry.len()).unwrap()], &entry].concat()
    }

    #[test]
    fn a_keytab_is_the_servers_alone_or_it_does_not_start() {
        let directory = tempfile::tempdir().unwrap();
        assert!(keytabs(&directory.path().join("none")).unwrap().is_empty());
        let put = |bytes: &[u8], mode: u32| {
            let path = directory.path().join("site.keytab");
            drop(fs::remove_file(&path));
            let mut options = fs::OpenOptions::new();
            io::Write::write_all(&mut options.write(true).create(true).mode(mode).open(&path).unwrap(), bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            keytabs(directory.path())
        };
        let read = put(&sample(18), 0o600).unwrap();
        assert_eq!(read[0].keys("LAB.EXAMPLE", "MUSTER/site.example")[0].version, 3);
        for mode in [0o640, 0o604, 0o620, 0o777] {
            assert!(matches!(put(&sample(18), mode), Err(StartError::Keytab { .. })), "{mode:o}");
        }
        for bad in [&b""[..], b"no keytab", &sample(18)[..40], &sample(23)] {
            assert!(matches!(put(bad, 0o600), Err(StartError::Keytab { .. })));
        }
    }
}
