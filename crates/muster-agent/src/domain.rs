//! The proof of this computer's domain: from its keytab, over a domain controller, to a ticket for the site, made for one connection.
//!
//! A domain controller that lies can keep the proof from being made, and nothing more: what it answers is opened with the
//! computer's own key.

use crate::config::AgentConfig;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    enrol::{DeviceClaims, DomainProof},
    id::Hash,
    limits::{KERBEROS_BYTES, KEYTAB_BYTES},
};
use muster_trust::{
    PublicKey,
    kerberos::{Client, KerberosError, Keytab, binding},
};
use std::{
    io::{self, Read},
    path::Path,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use zeroize::Zeroizing;

/// The port of Kerberos.
const PORT: u16 = 88;
/// How long a domain controller may take for one exchange.
const PATIENCE: Duration = Duration::from_secs(10);
/// Addresses that are tried.
const ADDRESSES: usize = 8;

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum DomainError {
    /// The keytab.
    #[error("the keytab {path} cannot be read: {error}")]
    Keytab {
        /// Where it is.
        path: String,
        /// The system's reason.
        error: io::Error,
    },
    /// No domain controller answers.
    #[error("no domain controller of {realm} answers: {error}")]
    Unreachable {
        /// The realm.
        realm: String,
        /// The last one's reason.
        error: io::Error,
    },
    /// What Kerberos says.
    #[error("Kerberos: {0}")]
    Kerberos(#[from] KerberosError),
}

/// What a proof is made for.
pub struct Wanted<'a> {
    /// The host of the enrolment door.
    pub host: &'a str,
    /// The connection's TLS exporter.
    pub exporter: Hash,
    /// The device's key.
    pub key: &'a PublicKey,
    /// What the device says of itself.
    pub claims: &'a DeviceClaims,
}

/// Makes a proof. `now` tells the time, in milliseconds that the domain believes.
///
/// # Errors
/// See [`DomainError`].
pub async fn prove(
    config: &AgentConfig,
    wanted: &Wanted<'_>,
    now: impl Fn() -> muster_model::time::UnixMillis,
) -> Result<DomainProof, DomainError> {
    let client = Client::of(&keytab(&config.keytab)?)?;
    let service = config.service.clone().unwrap_or_else(|| format!("muster/{}", wanted.host));
    let exchange = client.sign_in(now())?;
    let session = client.signed_in(&exchange, &carry(config, client.realm(), &exchange.message).await?)?;
    let exchange = session.ask(&service, now())?;
    let session = session.asked(&exchange, &service, &carry(config, client.realm(), &exchange.message).await?)?;
    let bound = binding(&wanted.exporter, &service, wanted.key, wanted.claims);
    Ok(DomainProof { request: BASE64.encode(session.prove(&bound, now())?) })
}

fn keytab(path: &Path) -> Result<Keytab, DomainError> {
    let at = |error| DomainError::Keytab { path: path.display().to_string(), error };
    let mut bytes = Zeroizing::new(Vec::new());
    std::fs::File::open(path).and_then(|file| file.take(KEYTAB_BYTES).read_to_end(&mut bytes)).map_err(at)?;
    Ok(Keytab::read(&bytes)?)
}

/// Takes a message to the first domain controller that answers.
async fn carry(config: &AgentConfig, realm: &str, message: &[u8]) -> Result<Vec<u8>, DomainError> {
    let named = match &config.kdc[..] {
        // In an Active Directory the domain's own name leads to its controllers.
        [] => vec![realm.to_ascii_lowercase()],
        named => named.to_vec(),
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "there is no address");
    for name in named {
        let addresses = match timeout(PATIENCE, lookup(&name)).await {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(error)) => {
                last = error;
                continue;
            }
            Err(_) => {
                last = io::ErrorKind::TimedOut.into();
                continue;
            }
        };
        for address in addresses {
            match timeout(PATIENCE, exchange(address, message)).await {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
    }
    Err(DomainError::Unreachable { realm: realm.to_owned(), error: last })
}

async fn lookup(name: &str) -> io::Result<Vec<std::net::SocketAddr>> {
    let found = match name.parse::<std::net::IpAddr>() {
        Ok(address) => vec![(address, PORT).into()],
        Err(_) if name.contains(':') => tokio::net::lookup_host(name).await?.collect(),
        Err(_) => tokio::net::lookup_host((name, PORT)).await?.collect(),
    };
    Ok(found.into_iter().take(ADDRESSES).collect())
}

/// One message and its reply over TCP: each with its length before it.
async fn exchange(address: std::net::SocketAddr, message: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_u32(u32::try_from(message.len()).map_err(io::Error::other)?).await?;
    stream.write_all(message).await?;
    let size = stream.read_u32().await? as usize;
    if size > KERBEROS_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too large"));
    }
    let mut reply = vec![0; size];
    stream.read_exact(&mut reply).await?;
    Ok(reply)
}
