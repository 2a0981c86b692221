//! TLS to a directory server, which is not the site's: authorities that the machine's administrator named, and nobody else. What
//! comes from there is a hint; the check keeps the bind password, and who is looking for what, from strangers.

use super::{TlsError, chains, provider, roots};
use rustls::{ClientConfig, time_provider::TimeProvider};
use std::sync::Arc;

/// Client configuration for directory servers with a certificate of one of these authorities (DER). Directories that speak
/// no TLS 1.3 are still in use, so 1.2 is taken as well. No certificate of the client's is ever shown.
///
/// # Errors
/// See [`TlsError`]; also when there is no authority.
pub fn client_of_directory(authorities: &[Vec<u8>], time: Arc<dyn TimeProvider>) -> Result<ClientConfig, TlsError> {
    let verifier = chains(roots(authorities)?)?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_webpki_verifier(verifier)
        .with_no_client_auth();
    config.time_provider = time;
    Ok(config)
}
