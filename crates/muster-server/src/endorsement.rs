//! The pinned certificates of those who vouch for TPMs: every file of one directory, which the administrator fills.

use crate::serve::StartError;
use muster_trust::attestation::is_root;
use std::{fs, io, path::Path};

/// Bytes of one file; a certificate has some thousand.
const FILE_BYTES: u64 = 64 << 10;
/// Files of the directory; all vendors together have some hundred roots and intermediates.
const FILES: usize = 1_000;

/// The certificates in `directory`, DER. A directory that is not there holds none.
///
/// # Errors
/// When a file cannot be read, or is no certificate: a vendor that was meant to be believed and is not would be hard to find.
pub(crate) fn roots(directory: &Path) -> Result<Vec<Vec<u8>>, StartError> {
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
    let mut roots = Vec::new();
    for path in paths {
        let bytes = read(&path).map_err(|error| StartError::File { path: path.clone(), error })?;
        let certificates = certificates(&bytes);
        if certificates.is_empty() || !certificates.iter().all(|certificate| is_root(certificate)) {
            return Err(StartError::EndorsementRoot(path));
        }
        roots.extend(certificates);
    }
    Ok(roots)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > FILE_BYTES {
        return Err(io::Error::other(format!("more than {FILE_BYTES} bytes")));
    }
    fs::read(path)
}

/// One certificate in DER, or any number in PEM.
fn certificates(bytes: &[u8]) -> Vec<Vec<u8>> {
    use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject};
    if bytes.first() == Some(&0x30) {
        return vec![bytes.to_vec()];
    }
    CertificateDer::pem_slice_iter(bytes)
        .map(|certificate| certificate.map(|der| der.to_vec()).unwrap_or_default())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_trust::{PrivateKey, certificate};

    #[test]
    fn every_file_is_a_certificate_or_the_server_does_not_start() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(roots(&directory.path().join("none")).unwrap(), Vec::<Vec<u8>>::new());
        let key = PrivateKey::generate().unwrap();
        let now = muster_model::time::UnixMillis(1_790_000_000_000);
        let der = certificate::root("ABC".parse().unwrap(), &key, now).unwrap();
        fs::write(directory.path().join("one.der"), &der).unwrap();
        let pem = crate::pem::certificate(&der);
        fs::write(directory.path().join("two.pem"), format!("a comment\n{pem}{pem}")).unwrap();
        assert_eq!(roots(directory.path()).unwrap(), vec![der.clone(); 3]);
        for bad in [&b"not a certificate"[..], b"", &der[..100]] {
            fs::write(directory.path().join("bad"), bad).unwrap();
            assert!(matches!(roots(directory.path()), Err(StartError::EndorsementRoot(_))));
        }
    }
}
