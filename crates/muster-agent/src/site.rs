//! The site as this client reaches it: who is trusted, where the management points are, and one session with one of them.

use crate::{
    clock::{Clock, Floored},
    enterprise,
    http::{Address, Connection, HttpError},
    identity::{DeviceKey, Identity, IdentityError, Stage},
    locate::{Hint, Refusal, refusal},
    points::{Point, Points},
    session::Session,
};
use muster_model::{id::DeviceId, limits, time::UnixMillis};
use muster_trust::{
    TrustChain,
    key::KeyError,
    server_status::StatusMemory,
    tls::{self, ServerTrust},
};
use rustls::ClientConfig;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::{sync::Notify, time::Instant};

/// Why the client cannot speak to its site.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The TLS library refused what is on disk.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    /// What is on disk cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A key in the trust bundle cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// There is no address to go to.
    #[error("the site named no management point that can be used; ask its administrator, or enrol again")]
    NoManagementPoint,
    /// The client is not active yet.
    #[error("this client is not active at its site yet")]
    NotActive,
}

/// What is known of the site; changed by the run loop, read by everybody.
#[derive(Debug)]
pub struct Site {
    /// The client's clock.
    pub clock: Clock,
    /// The client's key.
    pub key: DeviceKey,
    /// The newest status of each server.
    pub statuses: Arc<StatusMemory>,
    /// The time by which servers are judged.
    pub time: Floored,
    /// Told when no management point answers any more, so that others are looked for.
    pub exhausted: Notify,
    state: Mutex<State>,
    points: Mutex<Points>,
    /// Points that were named by a source and did not prove themselves; not reported yet.
    refused: Mutex<Vec<(Hint, Refusal)>>,
}

#[derive(Debug, Clone)]
struct State {
    identity: Arc<Identity>,
    trust: Arc<TrustChain>,
    config: Arc<ClientConfig>,
    has_enterprise: bool,
}

impl Site {
    /// From what is on disk.
    ///
    /// # Errors
    /// See [`SiteError`].
    pub fn new(
        clock: Clock,
        key: DeviceKey,
        identity: Identity,
        trust: TrustChain,
        statuses: StatusMemory,
    ) -> Result<Self, SiteError> {
        let (statuses, time) = (Arc::new(statuses), Floored::new(clock.clone()));
        let named = named(&identity)?;
        let state = state(&time, &key, &statuses, Arc::new(identity), Arc::new(trust))?;
        Ok(Self {
            clock,
            key,
            statuses,
            time,
            exhausted: Notify::new(),
            state: Mutex::new(state),
            points: Mutex::new(Points::new(named)),
            refused: Mutex::default(),
        })
    }

    /// The servers that this client believes now.
    ///
    /// # Errors
    /// See [`SiteError`].
    pub(crate) fn servers(&self) -> Result<ServerTrust, SiteError> {
        servers(&self.time, &self.statuses, &self.trust())
    }

    fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn points(&self) -> MutexGuard<'_, Points> {
        self.points.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who the client is.
    #[must_use]
    pub fn identity(&self) -> Arc<Identity> {
        self.state().identity
    }

    /// The trust bundle in force, with the chain that proves it.
    #[must_use]
    pub fn trust(&self) -> Arc<TrustChain> {
        self.state().trust
    }

    /// The id that the site gave.
    ///
    /// # Errors
    /// [`SiteError::NotActive`].
    pub fn device(&self) -> Result<DeviceId, SiteError> {
        match self.identity().stage {
            Stage::Active { device, .. } => Ok(device),
            _ => Err(SiteError::NotActive),
        }
    }

    /// Whether the client talks with a certificate of the enterprise that is on the disk.
    #[must_use]
    pub fn has_enterprise(&self) -> bool {
        self.state().has_enterprise
    }

    /// When the client's certificate ends.
    #[must_use]
    pub fn certificate_expires(&self) -> Option<UnixMillis> {
        let certificates = self.identity().certificates().ok()?;
        muster_trust::certificate::client_identity(certificates.first()?).ok().map(|identity| identity.expires)
    }

    /// Goes on with another identity or bundle; both are on disk already.
    ///
    /// # Errors
    /// See [`SiteError`]; nothing changes then.
    pub fn change(&self, identity: Arc<Identity>, trust: Arc<TrustChain>) -> Result<(), SiteError> {
        let named = named(&identity)?;
        let new = state(&self.time, &self.key, &self.statuses, identity, trust)?;
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = new;
        self.points().set_named(named);
        Ok(())
    }

    /// A session with the management point in use; or, where that one failed too often, is no management point, or has not
    /// answered yet at all, with the next ones in turn.
    ///
    /// # Errors
    /// The last one's failure, when none answers.
    pub async fn session(&self) -> Result<Session, HttpError> {
        let config = self.state().config;
        let mut last = HttpError::Malformed;
        let tries = self.points().len();
        for _ in 0..tries {
            let Some(point) = self.points().current().cloned() else { break };
            match Connection::open(config.clone(), &point.address).await {
                Ok(connection) => {
                    self.points().answered(&point.address);
                    return Ok(Session { connection });
                }
                Err(error) => {
                    let goes_on = self.failed(&point, &error);
                    last = error;
                    if !goes_on {
                        return Err(last);
                    }
                }
            }
        }
        self.exhausted.notify_one();
        Err(last)
    }

    /// Notes a failure; whether the next point is tried at once.
    fn failed(&self, point: &Point, error: &HttpError) -> bool {
        if let (Some(source), Some(refusal)) = (&point.source, refusal(error)) {
            self.refuse(Hint { address: point.address.clone(), source: source.clone() }, refusal);
            return true;
        }
        self.points().failed(&point.address, Instant::now())
    }

    /// A point that a source named is not one: it is asked no more, and reported.
    pub fn refuse(&self, hint: Hint, refusal: Refusal) {
        self.points().forget(&hint.address);
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() < limits::LOCATION_REPORTS && !refused.iter().any(|known| *known == (hint.clone(), refusal)) {
            refused.push((hint, refusal));
        }
    }

    /// What was refused since this was asked last.
    pub fn take_refused(&self) -> Vec<(Hint, Refusal)> {
        std::mem::take(&mut *self.refused.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether who answers there is a management point of the site. It learns nothing of this client: no certificate is shown,
    /// and no byte is sent after the handshake.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn prove(&self, address: &Address) -> Result<(), ProveError> {
        Ok(prove(self.servers()?, address).await?)
    }

    /// The found points in use.
    #[must_use]
    pub fn found(&self) -> Vec<Hint> {
        self.points().found().to_vec()
    }

    /// Goes on with these found points behind those that the site names. With `nearest`, the first of all is used again: the
    /// client is in another network.
    pub fn set_found(&self, found: Vec<Hint>, nearest: bool) {
        self.points().set_found(found, nearest);
    }

    /// The order that the site's policy gives, nearest first; those of one rank are alike.
    pub fn set_ranks(&self, ranks: &[Vec<String>]) {
        let ranks = ranks.iter().map(|rank| addresses(rank)).collect();
        self.points().set_ranks(ranks);
    }

    /// Where the next session goes, and in which order the others follow.
    #[must_use]
    pub fn order(&self) -> Vec<Address> {
        self.points().order()
    }

    /// The management point in use did what it should.
    pub fn content(&self) {
        self.points().satisfied();
    }

    /// The management point in use disappointed. After some of that, the next one is used.
    pub fn turn_away(&self) {
        let mut points = self.points();
        if let Some(address) = points.current().map(|point| point.address.clone()) {
            points.failed(&address, Instant::now());
        }
    }
}

/// Why a found point is not used.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// It did not prove itself, or is not there.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// What is on disk cannot be used.
    #[error(transparent)]
    Site(#[from] SiteError),
}

/// Whether a server at that address is one of these. No certificate of the client's is shown, and nothing is said.
pub(crate) async fn prove(servers: ServerTrust, address: &Address) -> Result<(), HttpError> {
    let config = tls::client_trusting(servers, None).map_err(|error| match error {
        tls::TlsError::Rustls(error) => HttpError::Tls { address: address.clone(), error },
        tls::TlsError::Anchor => HttpError::Malformed,
    })?;
    Connection::open(Arc::new(config), address).await.map(drop)
}

/// An address is a hint. Who answers there is decided by the certificate; what does not look like an address is left out.
fn addresses(texts: &[String]) -> Vec<Address> {
    texts.iter().filter_map(|text| text.parse().ok()).take(limits::LOCATION_POINTS).collect()
}

/// The management points that the site named when it gave the certificate.
fn named(identity: &Identity) -> Result<Vec<Address>, SiteError> {
    let Stage::Active { management_points, .. } = &identity.stage else { return Err(SiteError::NotActive) };
    match addresses(management_points) {
        none if none.is_empty() => Err(SiteError::NoManagementPoint),
        named => Ok(named),
    }
}

/// The servers that a client believes under this trust: of an issuing CA that the bundle names. What the root once certified is
/// not enough, and is told from a stranger's only to say so. An issuing CA is believed also when another root certifies it by now.
pub(crate) fn servers(
    time: &Floored,
    statuses: &Arc<StatusMemory>,
    trust: &TrustChain,
) -> Result<ServerTrust, SiteError> {
    let issuing = trust.bundle().issuing_certificates()?;
    let mut anchors = issuing.clone();
    anchors.push(trust.bundle().root_certificate()?);
    let mut servers = ServerTrust::roots(anchors, Some(issuing));
    servers.memory = statuses.clone();
    servers.time = Arc::new(time.clone());
    Ok(servers)
}

fn state(
    time: &Floored,
    key: &DeviceKey,
    statuses: &Arc<StatusMemory>,
    identity: Arc<Identity>,
    trust: Arc<TrustChain>,
) -> Result<State, SiteError> {
    let certificates = identity.certificates()?;
    let servers = servers(time, statuses, &trust)?;
    let enterprise = identity.enterprise.as_ref().map(enterprise::mapped);
    let has_enterprise = matches!(enterprise, Some(Some(_)));
    let config = match enterprise {
        None => tls::client_signing(servers, &certificates, key.signer())?,
        Some(Some(choice)) => tls::client_enterprise(servers, &choice)?,
        // It was renewed on the disk, and the site has to hear of the new one first; it takes no other.
        Some(None) => tls::client_trusting(servers, None)?,
    };
    Ok(State { has_enterprise, identity, trust, config: Arc::new(config) })
}
