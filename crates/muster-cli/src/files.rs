//! Small files of this machine: bounded reads, and writes that nobody else can read.

use crate::CliError;
use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    path::Path,
};

/// Bytes of a key, profile, manifest or signed object that are read.
pub const SMALL: u64 = 256 << 10;

/// Reads a small file.
///
/// # Errors
/// [`CliError::File`] when it cannot be read or is over [`SMALL`].
pub fn read_small(path: &Path) -> Result<Vec<u8>, CliError> {
    read_at_most(path, SMALL)
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// [`CliError::File`] when it cannot be read or is larger.
pub fn read_at_most(path: &Path, limit: u64) -> Result<Vec<u8>, CliError> {
    let file = File::open(path).map_err(|e| CliError::file(path, e))?;
    bounded(file, limit).map_err(|e| CliError::file(path, e))
}

/// Reads standard input to its end, at most `limit` bytes.
///
/// # Errors
/// [`CliError::File`] when it cannot be read or is larger.
pub fn read_input(limit: u64) -> Result<Vec<u8>, CliError> {
    bounded(std::io::stdin().lock(), limit).map_err(|e| CliError::file("standard input", e))
}

fn bounded(input: impl Read, limit: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    input.take(limit + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 > limit { Err(format!("larger than {limit} bytes")) } else { Ok(bytes) }
}

/// As [`read_small`], as text.
///
/// # Errors
/// As [`read_small`], and when it is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, CliError> {
    String::from_utf8(read_small(path)?).map_err(|_| CliError::file(path, "not a text file (UTF-8)"))
}

/// Writes a file of mode 0600. An existing file is replaced as a whole, or with `keep` refused.
///
/// # Errors
/// [`CliError::File`].
pub fn write_private(path: &Path, bytes: &[u8], keep: bool) -> Result<(), CliError> {
    let fail = |e: std::io::Error| CliError::file(path, e);
    if keep {
        return create(path).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all())).map_err(fail);
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    let _ = std::fs::remove_file(beside);
    create(beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(beside, path))
        .map_err(fail)
}

fn create(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Refuses a secret that others on this machine can read.
///
/// # Errors
/// [`CliError::File`].
pub fn check_private(path: &Path) -> Result<(), CliError> {
    #[cfg(unix)]
    {
        let data = std::fs::metadata(path).map_err(|e| CliError::file(path, e))?;
        if std::os::unix::fs::PermissionsExt::mode(&data.permissions()) & 0o077 != 0 {
            return Err(CliError::file(path, "others can read this secret; make it private with chmod 600"));
        }
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_is_written_for_its_owner_only_and_not_over_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        write_private(&path, b"one", true).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(write_private(&path, b"two", true).is_err());
        assert_eq!(read_small(&path).unwrap(), b"one");
        write_private(&path, b"two", false).unwrap();
        assert_eq!(read_small(&path).unwrap(), b"two");
        check_private(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(check_private(&path).unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn a_large_file_is_not_read_as_a_small_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("large");
        std::fs::write(&path, vec![0; SMALL as usize + 1]).unwrap();
        assert!(read_small(&path).is_err());
    }
}
