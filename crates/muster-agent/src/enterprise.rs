//! A certificate of the enterprise, where this client talks with one: chosen on the disk by what its site takes, proven at
//! enrolment, and announced again when it was renewed.

use crate::{
    enrol::EnrolError,
    http::{Address, Ask, Connection, HttpError},
    identity::{Identity, IdentityError},
    os::{PrivateDirectory, open_foreign},
    site::Site,
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    enterprise::{EnterpriseAnswer, EnterpriseChange, EnterpriseProof, IssuersAnswer},
    id::Hash,
    limits::{CERTIFICATE_BYTES, CRITERIA, CRITERION_BYTES, ISSUERS},
    time::UnixMillis,
};
use muster_trust::{
    PublicKey, Signer,
    enterprise::{self, Candidate, Choice, ChoiceError, EnterpriseIssuer},
    envelope, tls,
};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Files of a directory, and bytes of one of them.
const FILES: usize = 64;
const FILE_BYTES: u64 = 64 << 10;
/// Names of files with PEM in them.
const ENDINGS: [&str; 4] = ["pem", "crt", "cer", "key"];
/// Bytes of what the site says about issuers: the certificate of each in base64, and criteria of three kinds in JSON.
const ISSUERS_BYTES: usize = ISSUERS * (CERTIFICATE_BYTES * 4 / 3 + 3 * CRITERIA * (2 * CRITERION_BYTES + 4) + 1_024);

/// Where the certificates lie, and which one the site knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnterpriseUse {
    /// A PEM file, or a directory of PEM files.
    pub path: PathBuf,
    /// SHA-256 of the certificate that this client is mapped to at its site.
    pub mapped: Option<Hash>,
}

/// Why there is no certificate of the enterprise.
#[derive(Debug, thiserror::Error)]
pub enum EnterpriseError {
    /// The files.
    #[error("the certificates of the enterprise cannot be read from {path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// Others can read a private key.
    #[error("{0} holds a private key and can be read or written by others; run: chmod 600 {0}")]
    Exposed(PathBuf),
    /// More than a client looks at.
    #[error("{0} holds more files, or larger ones, than the certificates of one machine")]
    TooMuch(PathBuf),
    /// Not one is left, or several are.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// The site takes none.
    #[error(
        "the site takes no certificates of the enterprise; its administrator adds their CA with `muster issuer add`"
    )]
    NoIssuers,
    /// The key does not sign.
    #[error("the key of the certificate of the enterprise does not sign in a way that TLS takes")]
    Key,
}

/// Keeps where the certificates lie, for the enrolment that is on disk.
///
/// # Errors
/// [`IdentityError`].
pub fn remember(directory: &PrivateDirectory, path: Option<&Path>) -> Result<(), IdentityError> {
    let Some(mut identity) = Identity::load(directory)? else { return Ok(()) };
    let kept = identity.enterprise.as_ref().map(|kept| kept.path.as_path());
    if kept != path {
        identity.enterprise = path.map(|path| EnterpriseUse { path: path.to_owned(), mapped: None });
        identity.store(directory)?;
    }
    Ok(())
}

/// The certificates on the disk, each with its key where that is there.
///
/// # Errors
/// See [`EnterpriseError`].
pub fn candidates(path: &Path) -> Result<Vec<Candidate>, EnterpriseError> {
    let at = |error| EnterpriseError::Io { path: path.to_owned(), error };
    if !std::fs::metadata(path).map_err(at)?.is_dir() {
        return Ok(enterprise::candidates(&[read(path)?]));
    }
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(path).map_err(at)? {
        let path = entry.map_err(at)?.path();
        if path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known)) && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.len() > FILES {
        return Err(EnterpriseError::TooMuch(path.to_owned()));
    }
    let files = paths.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    Ok(enterprise::candidates(&files))
}

/// A file with its name. One with a private key must be its owner's alone.
fn read(path: &Path) -> Result<(String, Vec<u8>), EnterpriseError> {
    let at = |error| EnterpriseError::Io { path: path.to_owned(), error };
    let file: File = open_foreign(path).map_err(at)?;
    let about = file.metadata().map_err(at)?;
    if !about.is_file() || about.len() > FILE_BYTES {
        return Err(EnterpriseError::TooMuch(path.to_owned()));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES).read_to_end(&mut bytes).map_err(at)?;
    let secret = bytes.windows(11).any(|window| window == b"PRIVATE KEY");
    if secret && about.mode() & 0o077 != 0 {
        return Err(EnterpriseError::Exposed(path.to_owned()));
    }
    Ok((path.display().to_string(), bytes))
}

/// The certificate that this client is mapped to, where it still lies on the disk.
#[must_use]
pub fn mapped(kept: &EnterpriseUse) -> Option<Choice> {
    let found = candidates(&kept.path).inspect_err(|error| tracing::warn!(%error, "no certificate of the enterprise"));
    Choice::mapped(&found.ok()?, &kept.mapped?)
}

/// Chooses by what the site takes. The door must be the pinned site's.
///
/// # Errors
/// See [`EnrolError`].
async fn choose(door: &mut Connection, path: &Path, now: UnixMillis) -> Result<Choice, EnrolError> {
    let answer: IssuersAnswer = door.json(Ask::get("/enrol/v1/issuers"), ISSUERS_BYTES).await?;
    let read = |der: &str| {
        let der = BASE64.decode(der).map_err(|_| HttpError::Malformed)?;
        EnterpriseIssuer::read(&der).map_err(|_| HttpError::Malformed)
    };
    let issuers = answer.issuers.into_iter().map(|offer| Ok((read(&offer.certificate)?, offer.criteria)));
    let issuers = issuers.collect::<Result<Vec<_>, HttpError>>()?;
    if issuers.is_empty() {
        return Err(EnterpriseError::NoIssuers.into());
    }
    Ok(Choice::of(&candidates(path)?, &issuers, now).map_err(EnterpriseError::from)?)
}

fn proof(choice: &Choice, exporter: &Hash, device: &PublicKey) -> Result<EnterpriseProof, EnterpriseError> {
    enterprise::prove(&choice.certificate.der, &choice.key, exporter, device).map_err(|_| EnterpriseError::Key)
}

/// The proof for a request to enrol, and which certificate it is about.
///
/// # Errors
/// See [`EnrolError`].
pub async fn prove(
    door: &mut Connection,
    path: &Path,
    device: &PublicKey,
    now: UnixMillis,
) -> Result<(EnterpriseProof, Hash), EnrolError> {
    let choice = choose(door, path, now).await?;
    let proof = proof(&choice, &door.exporter(), device)?;
    tracing::info!(subject = choice.certificate.subject, "enrolling with a certificate of the enterprise");
    Ok((proof, choice.certificate.fingerprint))
}

/// Looks whether the certificate was renewed on the disk, and tells the site, signed with the device's key. `refused`: the site did not
/// take the one in use, and is told in any case. Whether another one is in use now, or the site knows better.
///
/// # Errors
/// See [`EnrolError`]; what was in use stays in use.
pub async fn refresh(directory: &PrivateDirectory, site: &Site, refused: bool) -> Result<bool, EnrolError> {
    let identity = site.identity();
    let Some(kept) = &identity.enterprise else { return Ok(false) };
    let address: Address = identity.enrol.parse().map_err(EnrolError::Address)?;
    let config = tls::client_trusting(site.servers()?, None)?;
    let mut door = Connection::open(Arc::new(config), &address).await?;
    let now = site.clock.now();
    let choice = choose(&mut door, &kept.path, now).await?;
    let fingerprint = choice.certificate.fingerprint;
    if !refused && kept.mapped == Some(fingerprint) && site.has_enterprise() {
        return Ok(false);
    }
    let (exporter, device) = (door.exporter(), site.device()?);
    let proof = proof(&choice, &exporter, site.key.public())?;
    let change = EnterpriseChange { site: identity.site, device, time: now, exporter, proof };
    let statement = envelope::sign1_json(&site.key, &change)?;
    let ask = Ask::post("/enrol/v1/enterprise-certificate", "application/cose", statement);
    let answer: EnterpriseAnswer = door.json(ask, 4 << 10).await?;
    if answer.device != device || answer.certificate != fingerprint {
        return Err(EnrolError::Foreign);
    }
    let mapped = Some(EnterpriseUse { path: kept.path.clone(), mapped: Some(fingerprint) });
    if identity.enterprise != mapped || !site.has_enterprise() {
        let identity = Identity { enterprise: mapped, ..(*identity).clone() };
        identity.store(directory)?;
        site.change(Arc::new(identity), site.trust())?;
        tracing::info!(subject = choice.certificate.subject, "talking with another certificate of the enterprise");
    }
    Ok(true)
}
