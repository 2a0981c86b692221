//! Enrolment and renewal: from a token to a client certificate. Every step is on disk before the next one is taken, so that a
//! kill at any moment is followed by the same step again.

mod token;

pub use token::accept_token;

use crate::{
    clock::{Clock, Floored},
    config::Use,
    domain::{self, DomainError},
    enterprise::{self, EnterpriseError, EnterpriseUse},
    http::{Address, Ask, Connection, HttpError},
    identity::{self, DeviceKey, Identity, IdentityError, Stage, decode_certificates},
    locate::{self, Service},
    os::{self, PrivateDirectory, claims},
    policy,
    session::Session,
    site::{self, Site, SiteError},
    store::{Store, StoreError},
    tpm::{TpmError, TpmKey},
    trust::{self, TrustError},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    attestation::{AttestationChallenge, AttestationOffer, AttestationProof},
    enrol::{DeviceClaims, DomainProof, EnrolAnswer, EnrolPoll, EnrolRequest, RenewRequest},
    id::{DeviceId, EnrolmentId, Hash},
    limits::Limits,
    policy::PolicyRefusal,
    problem::Code,
    time::UnixMillis,
};
use muster_trust::{
    Signer, TrustBundle, TrustChain,
    attestation::bound_nonce,
    bundle::BundleError,
    certificate::{self, CertificateError, ClientIdentity},
    envelope::{self, EnvelopeError},
    key::KeyError,
    tls::{self, ServerTrust},
};
use std::{sync::Arc, time::Duration};

/// Where the trust bundles are at the enrolment door.
const TRUST: &str = "/enrol/v1/trust-bundle";
/// Bytes of the enrolment door's answers.
const ANSWER_BYTES: usize = 64 << 10;

/// Why enrolment does not go on.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The enrolment door cannot be reached, or refused.
    #[error("enrolment: {0}")]
    Http(#[from] HttpError),
    /// The disk.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The trust bundle is not the pinned root's.
    #[error(
        "the site's trust bundle was refused: {0}; ask the administrator for a new token if the root key was changed"
    )]
    Bundle(#[from] BundleError),
    /// The empty policy does not verify.
    #[error("the site's answer was refused: its policy is not sound ({})", .0.as_str())]
    Policy(PolicyRefusal),
    /// The certificate is not ours.
    #[error("the site's certificate for this client was refused: {0}")]
    Certificate(#[from] CertificateError),
    /// The certificate is for another key, site or device.
    #[error("the site's certificate was refused: it is for another key, site or device")]
    Foreign,
    /// An administrator refused, or the token is of no use.
    #[error("the site refused this client; ask its administrator for a new token and run `muster-agent enrol` again")]
    Refused,
    /// The address in the token.
    #[error("{0}")]
    Address(&'static str),
    /// Keys.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    /// Signing.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The certificate came and cannot be used.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The TPM did not do its part.
    #[error(transparent)]
    Tpm(#[from] TpmError),
    /// There is no proof of the domain, and the configuration demands one.
    #[error("there is no proof of this computer's domain, and agent.json demands one: {0}")]
    Domain(#[from] DomainError),
    /// The site does not believe the proof of the domain, and the configuration demands that it does.
    #[error("the site does not believe the proof of this computer's domain, and agent.json demands it: {0}")]
    NotOfDomain(String),
    /// The site does not believe the TPM, and the configuration demands that it does.
    #[error("the site does not believe this machine's TPM, and agent.json demands it: {0}")]
    NotAttested(String),
    /// The certificate of the enterprise.
    #[error(transparent)]
    Enterprise(#[from] EnterpriseError),
    /// There is nothing to ask with.
    #[error("this client is assigned to site {0} and has no token to ask with; run `muster-agent enrol --token FILE`")]
    NoToken(muster_model::id::SiteCode),
    /// There is another enrolment.
    #[error(
        "this client is enrolled at site {0} already; to move it, stop the agent and run `muster-agent enrol` with --again"
    )]
    Enrolled(muster_model::id::SiteCode),
}

impl From<TrustError> for EnrolError {
    fn from(error: TrustError) -> Self {
        match error {
            TrustError::Http(error) => Self::Http(error),
            TrustError::Bundle(error) => Self::Bundle(error),
        }
    }
}

impl EnrolError {
    /// Whether trying again may help. What the site refuses for good, or who is not the pinned site, stays so.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Http(error @ HttpError::Tls { .. }) => error.clock_difference().is_some(),
            Self::Http(HttpError::Refused(problem)) => {
                problem.status >= 500 || matches!(problem.code, Code::TooMany | Code::Conflict)
            }
            Self::Domain(error) => matches!(error, DomainError::Unreachable { .. }),
            Self::Tpm(error) | Self::Identity(IdentityError::Tpm(error)) => !matches!(error, TpmError::Foreign(_)),
            Self::Http(_) | Self::Identity(IdentityError::Io { .. }) | Self::Store(StoreError::DiskFull) => true,
            _ => false,
        }
    }
}

/// Where an enrolment stands after a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Ask again after this time.
    Pending {
        /// Which request; the administrator sees the same id.
        enrolment: EnrolmentId,
        /// How long to wait.
        retry_after: Duration,
    },
    /// The client has its certificate.
    Active(DeviceId),
}

/// An enrolment that is going on.
#[derive(Debug)]
pub struct Enrolment<'a> {
    directory: &'a PrivateDirectory,
    clock: &'a Clock,
    key: DeviceKey,
    identity: Identity,
}

impl<'a> Enrolment<'a> {
    /// Takes up the enrolment that is on disk.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub fn new(directory: &'a PrivateDirectory, clock: &'a Clock, identity: Identity) -> Result<Self, EnrolError> {
        let key = identity::device_key(directory)?;
        // The outbox is there before the client is active: one that is missing later was lost.
        Store::open(directory, false)?;
        Ok(Self { directory, clock, key, identity })
    }

    /// The id of the device's key: the administrator who approves sees the same.
    #[must_use]
    pub fn key_id(&self) -> Hash {
        self.key.public().id()
    }

    /// One step: asks the enrolment door, checks its answer, keeps it.
    ///
    /// # Errors
    /// See [`EnrolError`]; what is on disk is as before, or the next stage.
    pub async fn step(&mut self) -> Result<Progress, EnrolError> {
        let (mut door, trust) = self.door().await?;
        let answer = match &self.identity.stage {
            Stage::Requesting { secret } => {
                let secret = secret.clone();
                self.request(&mut door, secret).await?
            }
            Stage::Pending { enrolment } => {
                poll(&mut door, &self.key, &self.identity, *enrolment, self.clock.now()).await
            }
            Stage::Active { device, .. } => return Ok(Progress::Active(*device)),
            Stage::Assigned => return Err(EnrolError::NoToken(self.identity.site)),
        };
        match answer {
            Ok(answer) => self.take(trust.bundle(), answer),
            Err(error) if error.problem().is_some_and(|problem| problem.code == Code::EnrolmentRefused) => {
                self.refused()
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Asks to be enrolled; with a proof where the key is in a TPM, and one where the computer is in a domain. What the site does
    /// not believe is left away, unless the configuration demands it.
    async fn request(
        &mut self,
        door: &mut Connection,
        secret: String,
    ) -> Result<Result<EnrolAnswer, HttpError>, EnrolError> {
        let csr = BASE64.encode(certificate::signing_request(&self.key)?);
        let claims = claims::claims(self.identity.site, self.directory);
        let claims = claims.map_err(|error| IdentityError::Io { file: "hardware.id", error })?;
        let serial = os::serial_number();
        let mut request =
            EnrolRequest { secret, csr, claims, attestation: None, enterprise: None, domain: None, serial };
        if let Some(kept) = self.identity.enterprise.clone() {
            let (proof, mapped) = enterprise::prove(door, &kept.path, self.key.public(), self.clock.now()).await?;
            request.enterprise = Some(proof);
            // On the disk before it is sent: it is what this client talks with afterwards.
            self.identity.enterprise = Some(EnterpriseUse { mapped: Some(mapped), ..kept });
            self.identity.store(self.directory)?;
        }
        let (mut with_tpm, mut with_domain) = (true, true);
        loop {
            request.attestation = match &self.key {
                DeviceKey::Tpm(key) if with_tpm => match attest(door, key, &request.secret, &request.claims).await {
                    Ok(proof) => Some(proof),
                    Err(error) => self.without(error)?,
                },
                _ => None,
            };
            with_tpm = request.attestation.is_some();
            request.domain = if with_domain { self.prove(door, &request.claims).await? } else { None };
            let answer = ask(door, &request).await;
            match answer {
                Err(error) if with_tpm && is_unbelieved(&error) => {
                    self.without(error.into())?;
                    with_tpm = false;
                }
                Err(error) if request.domain.is_some() && is_refused_domain(&error) => {
                    self.without_domain(&error)?;
                    with_domain = false;
                }
                answer => return Ok(answer),
            }
        }
    }

    /// The proof of this computer's domain, where it is in one and its domain answers.
    async fn prove(&self, door: &Connection, claims: &DeviceClaims) -> Result<Option<DomainProof>, EnrolError> {
        let config = identity::config(self.directory)?;
        if !config.has_keytab() {
            return Ok(None);
        }
        let (host, key) = (door.address().host(), self.key.public());
        let wanted = domain::Wanted { host, exporter: door.exporter(), key, claims };
        match domain::prove(&config, &wanted, || self.clock.now()).await {
            Ok(proof) => Ok(Some(proof)),
            Err(error) if config.domain == Use::Required => Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "there is no proof of this computer's domain; enrolling without");
                Ok(None)
            }
        }
    }

    fn without_domain(&self, refusal: &HttpError) -> Result<(), EnrolError> {
        let detail = refusal.problem().map(|problem| problem.detail.clone()).unwrap_or_default();
        if identity::config(self.directory)?.domain == Use::Required {
            return Err(EnrolError::NotOfDomain(detail));
        }
        tracing::warn!(detail, "the site does not believe the proof of this computer's domain; enrolling without");
        Ok(())
    }

    /// Goes on without a proof when the site does not believe it, unless the configuration demands one.
    fn without(&self, error: EnrolError) -> Result<Option<AttestationProof>, EnrolError> {
        let EnrolError::Http(refusal) = &error else { return Err(error) };
        let Some(problem) = refusal.problem().filter(|_| is_unbelieved(refusal)) else { return Err(error) };
        if identity::config(self.directory)?.tpm == Use::Required {
            return Err(EnrolError::NotAttested(problem.detail.clone()));
        }
        tracing::warn!(
            detail = problem.detail,
            "the site does not believe this machine's TPM; enrolling as a software key"
        );
        Ok(None)
    }

    /// The enrolment door, and the newest trust bundle: the first by the pin of the token, or what follows on the one that is kept.
    /// The door is a server of an issuing CA that this bundle names. One that only the root once certified may be a thief's by now:
    /// from such a server comes the bundle, which proves itself, and nothing is said to it.
    async fn door(&self) -> Result<(Connection, TrustChain), EnrolError> {
        let address: Address = self.identity.enrol.parse().map_err(EnrolError::Address)?;
        match self.door_at(&address).await {
            // Perhaps it has moved since. Another door proves itself in the same way before it hears the token's secret.
            Err(EnrolError::Http(e @ HttpError::Unreachable { .. })) => self.located().await.ok_or(EnrolError::Http(e)),
            opened => opened,
        }
    }

    /// An enrolment door that a configured source names and that proves itself.
    async fn located(&self) -> Option<(Connection, TrustChain)> {
        let config = identity::config(self.directory).ok()?.location;
        let found = locate::hints(&config, Some(self.identity.site), Service::Enrolment, self.clock).await;
        for hint in found.hints {
            match self.door_at(&hint.address).await {
                Ok(opened) => return Some(opened),
                Err(error) => tracing::warn!(source = %hint.source, %error, "a door that was named is of no use"),
            }
        }
        None
    }

    async fn door_at(&self, address: &Address) -> Result<(Connection, TrustChain), EnrolError> {
        let now = self.clock.now();
        let (door, trust) = match identity::load_trust(self.directory, &self.identity)? {
            Some(kept) => self.following(address, kept, now).await?,
            None => (None, self.first_trust(address, now).await?),
        };
        trust.bundle().in_time(now)?;
        if trust.bundle().version < self.identity.trust_version {
            return Err(BundleError::Older.into());
        }
        identity::store_trust(self.directory, &trust)?;
        let door = match door {
            Some(door) => door,
            None => self.believed(address, &trust).await?,
        };
        Ok((door, trust))
    }

    async fn first_trust(&self, address: &Address, now: UnixMillis) -> Result<TrustChain, EnrolError> {
        let mut pinned = ServerTrust::pinned(self.identity.root);
        pinned.time = Arc::new(self.clock.clone());
        let config = tls::client_trusting(pinned, None)?;
        let mut door = Connection::open(Arc::new(config), address).await?;
        let (_, _, envelope) = door.fetch(Ask::get(TRUST), Limits::default().object_bytes).await?;
        Ok(TrustChain::first(&envelope, &self.identity.root, self.identity.site, now)?)
    }

    /// The newest that follows on the bundle that is kept; with the door, where it is believed under both.
    async fn following(
        &self,
        address: &Address,
        kept: TrustChain,
        now: UnixMillis,
    ) -> Result<(Option<Connection>, TrustChain), EnrolError> {
        let limits = Limits::default();
        match self.believed(address, &kept).await {
            Ok(mut door) => Ok(match trust::fetch(&mut door, TRUST, &kept, &limits, now).await? {
                Some(newer) => (None, newer),
                None => (Some(door), kept),
            }),
            // The issuing CA or the root key may have changed since: the old holders of the root said so, or nobody did.
            Err(EnrolError::Http(error @ HttpError::Tls { .. })) => {
                let newer = newer_trust(address, &kept, &limits, now).await?;
                Ok((None, newer.ok_or(EnrolError::Http(error))?))
            }
            Err(error) => Err(error),
        }
    }

    /// A connection to a server of an issuing CA that this bundle names.
    async fn believed(&self, address: &Address, trust: &TrustChain) -> Result<Connection, EnrolError> {
        let config =
            tls::client_trusting(site::servers(&Floored::new(self.clock.clone()), &Arc::default(), trust)?, None)?;
        Ok(Connection::open(Arc::new(config), address).await?)
    }

    fn take(&mut self, bundle: &TrustBundle, answer: EnrolAnswer) -> Result<Progress, EnrolError> {
        match answer {
            EnrolAnswer::Refused => self.refused(),
            EnrolAnswer::Pending { enrolment, retry_after, assignment } => {
                if matches!(self.identity.stage, Stage::Pending { enrolment: known } if known != enrolment) {
                    return Err(EnrolError::Foreign);
                }
                let assignment = BASE64.decode(assignment).map_err(|_| HttpError::Malformed)?;
                policy::check_empty(&assignment, bundle, &self.identity, enrolment, self.clock.now())
                    .map_err(EnrolError::Policy)?;
                self.keep(Stage::Pending { enrolment })?;
                let retry_after = Duration::from_secs(u64::from(retry_after.clamp(1, 3_600)));
                Ok(Progress::Pending { enrolment, retry_after })
            }
            EnrolAnswer::Active { device, certificates, management_points } => {
                let client = check_certificates(&certificates, bundle, &self.key, self.clock.now())?;
                if client.site != self.identity.site || client.device != device {
                    return Err(EnrolError::Foreign);
                }
                self.keep(Stage::Active { device, certificates, management_points })?;
                Ok(Progress::Active(device))
            }
        }
    }

    /// Keeps that the site refused, and says so. It is asked again all the same: a device that was locked out may come back.
    fn refused(&mut self) -> Result<Progress, EnrolError> {
        if !self.identity.refused {
            self.identity.refused = true;
            self.identity.store(self.directory)?;
        }
        Err(EnrolError::Refused)
    }

    fn keep(&mut self, stage: Stage) -> Result<(), EnrolError> {
        let identity = Identity { stage, refused: false, ..self.identity.clone() };
        if identity != self.identity {
            identity.store(self.directory)?;
            self.identity = identity;
        }
        Ok(())
    }
}

fn is_unbelieved(error: &HttpError) -> bool {
    error.problem().is_some_and(|problem| problem.code == Code::AttestationRefused)
}

fn is_refused_domain(error: &HttpError) -> bool {
    error.problem().is_some_and(|problem| problem.code == Code::DomainRefused)
}

async fn ask(door: &mut Connection, request: &EnrolRequest) -> Result<EnrolAnswer, HttpError> {
    let body = serde_json::to_vec(request).map_err(|_| HttpError::Malformed)?;
    door.json(Ask::post("/enrol/v1/requests", "application/json", body), ANSWER_BYTES).await
}

/// Offers the TPM, and solves the site's challenge with it. Everything happens over one connection, which the proof names.
async fn attest(
    door: &mut Connection,
    key: &Arc<TpmKey>,
    secret: &str,
    claims: &DeviceClaims,
) -> Result<AttestationProof, EnrolError> {
    let endorsement = in_background(key, |key| key.endorsement()).await?;
    let offer = AttestationOffer {
        secret: secret.to_owned(),
        endorsement_certificate: endorsement.certificate.as_ref().map(|certificate| BASE64.encode(certificate)),
        endorsement_key: BASE64.encode(&endorsement.endorsement_key),
        attestation_key: BASE64.encode(&endorsement.attestation_key),
    };
    let body = serde_json::to_vec(&offer).map_err(|_| HttpError::Malformed)?;
    let asked = Ask::post("/enrol/v1/attestations", "application/json", body);
    let challenge: AttestationChallenge = door.json(asked, ANSWER_BYTES).await?;
    let decode = |text: &str| BASE64.decode(text).map_err(|_| HttpError::Malformed);
    let (blob, seed) = (decode(&challenge.credential)?, decode(&challenge.seed)?);
    let nonce = bound_nonce(&challenge.nonce, &door.exporter(), Signer::public(&**key), claims);
    let evidence = in_background(key, move |key| key.evidence(&blob, &seed, &nonce)).await?;
    Ok(AttestationProof {
        credential: BASE64.encode(&evidence.credential[..]),
        device_key: BASE64.encode(key.area()),
        statement: BASE64.encode(&evidence.statement),
        signature: BASE64.encode(&evidence.signature),
    })
}

/// A TPM takes its time, a second for some keys: not on the thread that does everything else.
async fn in_background<T: Send + 'static>(
    key: &Arc<TpmKey>,
    work: impl FnOnce(&TpmKey) -> Result<T, TpmError> + Send + 'static,
) -> Result<T, EnrolError> {
    let key = key.clone();
    let done = tokio::task::spawn_blocking(move || work(&key)).await;
    Ok(done.map_err(|_| TpmError::Malformed)??)
}

/// Asks what became of a request, signed with the device's key.
async fn poll(
    door: &mut Connection,
    key: &DeviceKey,
    identity: &Identity,
    enrolment: EnrolmentId,
    now: UnixMillis,
) -> Result<EnrolAnswer, HttpError> {
    let poll = EnrolPoll { site: identity.site, enrolment, time: now };
    let envelope = envelope::sign1_json(key, &poll).map_err(|_| HttpError::Malformed)?;
    door.json(Ask::post("/enrol/v1/requests/poll", "application/cose", envelope), ANSWER_BYTES).await
}

/// The trust bundles that follow on `trust`, from whoever answers at the enrolment door: for a client that slept while every
/// certificate that it knows ended. They prove themselves, and nothing but them is taken from there.
///
/// # Errors
/// See [`EnrolError`].
pub async fn newer_trust(
    address: &Address,
    trust: &TrustChain,
    limits: &Limits,
    now: UnixMillis,
) -> Result<Option<TrustChain>, EnrolError> {
    let mut door = Connection::open(Arc::new(tls::client_of_anyone()?), address).await?;
    Ok(trust::fetch(&mut door, TRUST, trust, limits, now).await?)
}

/// Whether the client's certificate is in time and of the newest issuing CA, so that neither its end nor its issuer's is near.
#[must_use]
pub fn is_of_newest_issuer(site: &Site) -> bool {
    let (identity, trust) = (site.identity(), site.trust());
    let newest = trust.bundle().issuing_certificates().ok().and_then(|issuing| issuing.last().cloned());
    let own = identity.certificates().ok().and_then(|certificates| certificates.first().cloned());
    let (Some(newest), Some(own)) = (newest, own) else { return false };
    certificate::issued_client(&own, &[newest], site.clock.now()).is_ok()
}

/// Where the client's certificate has ended, or its issuing CA has: a new one from the enrolment door, for the key that it was
/// for. Whether there was one.
///
/// # Errors
/// See [`EnrolError`].
pub async fn recover_certificate(directory: &PrivateDirectory, site: &Site) -> Result<bool, EnrolError> {
    let (identity, trust, now) = (site.identity(), site.trust(), site.clock.now());
    let issuing = trust.bundle().issuing_certificates()?;
    let own = identity.certificates()?;
    if own.first().is_some_and(|own| certificate::issued_client(own, &issuing, now).is_ok()) {
        return Ok(false);
    }
    let device = site.device()?;
    let address: Address = identity.enrol.parse().map_err(EnrolError::Address)?;
    let config = tls::client_trusting(site.servers()?, None)?;
    let mut door = Connection::open(Arc::new(config), &address).await?;
    // A device has the id of the request that it came from.
    match poll(&mut door, &site.key, &identity, EnrolmentId(device.0), now).await? {
        EnrolAnswer::Active { device: named, certificates, management_points } if named == device => {
            let client = check_certificates(&certificates, trust.bundle(), &site.key, now)?;
            if client.site != identity.site || client.device != device {
                return Err(EnrolError::Foreign);
            }
            let stage = Stage::Active { device, certificates, management_points };
            let identity = Identity { stage, ..(*identity).clone() };
            site.change(Arc::new(identity.clone()), trust)?;
            identity.store(directory)?;
            Ok(true)
        }
        EnrolAnswer::Refused => Err(EnrolError::Refused),
        _ => Err(EnrolError::Foreign),
    }
}

/// A certificate is taken only for our key, from an issuing CA of the trust bundle, and in time.
fn check_certificates(
    certificates: &[String],
    bundle: &TrustBundle,
    key: &dyn Signer,
    now: UnixMillis,
) -> Result<ClientIdentity, EnrolError> {
    let certificates = decode_certificates(certificates).map_err(|_| CertificateError::Malformed)?;
    let [client, issuer] = certificates.as_slice() else { return Err(CertificateError::Malformed.into()) };
    let issuing = bundle.issuing_certificates()?;
    if !issuing.contains(issuer) {
        return Err(CertificateError::NotIssued.into());
    }
    let client = certificate::issued_client(client, &issuing, now)?;
    if client.key != *key.public() {
        return Err(EnrolError::Foreign);
    }
    Ok(client)
}

/// Renews the certificate over a session that the old one authenticates. Returns when the new one ends.
///
/// # Errors
/// See [`EnrolError`]; the old certificate is still in use then.
pub async fn renew(directory: &PrivateDirectory, site: &Site, session: &mut Session) -> Result<UnixMillis, EnrolError> {
    let request = RenewRequest { csr: BASE64.encode(certificate::signing_request(&site.key)?) };
    let answer = session.renew(&request).await?;
    let (identity, trust, now) = (site.identity(), site.trust(), site.clock.now());
    let client = check_certificates(&answer.certificates, trust.bundle(), &site.key, now)?;
    let device = site.device()?;
    if client.site != identity.site || client.device != device {
        return Err(EnrolError::Foreign);
    }
    let (certificates, management_points) = (answer.certificates, answer.management_points);
    let stage = Stage::Active { device, certificates, management_points };
    let identity = Identity { stage, ..(*identity).clone() };
    // Only what can be used is kept.
    site.change(Arc::new(identity.clone()), trust)?;
    identity.store(directory)?;
    Ok(client.expires)
}
