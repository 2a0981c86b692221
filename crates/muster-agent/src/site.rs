//! The site as this client reaches it: who is trusted, where the management points are, and one session with one of them.

use crate::{
    clock::{Clock, Floored, random},
    enterprise,
    http::{Address, Ask, Body, Connection, HttpError},
    identity::{DeviceKey, Identity, IdentityError, Stage},
    trust::{self, TrustError},
};
use bytes::Bytes;
use http::{StatusCode, header};
use muster_model::{
    enrol::{RenewAnswer, RenewRequest},
    id::{DeviceId, Hash},
    limits::Limits,
    report::ReportAnswer,
    time::UnixMillis,
};
use muster_trust::{
    TrustChain,
    key::KeyError,
    server_status::StatusMemory,
    tls::{self, ServerTrust},
};
use rustls::ClientConfig;
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

/// Bytes of small JSON answers.
const ANSWER_BYTES: usize = 64 << 10;

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
    state: Mutex<State>,
}

#[derive(Debug, Clone)]
struct State {
    identity: Arc<Identity>,
    trust: Arc<TrustChain>,
    config: Arc<ClientConfig>,
    addresses: Vec<Address>,
    at: usize,
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
        let mut state = state(&time, &key, &statuses, Arc::new(identity), Arc::new(trust))?;
        state.at = random() as usize % state.addresses.len().max(1);
        Ok(Self { clock, key, statuses, time, state: Mutex::new(state) })
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
        let new = state(&self.time, &self.key, &self.statuses, identity, trust)?;
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// A session with a management point: the one that answered last, else the next ones in turn.
    ///
    /// # Errors
    /// The last one's failure, when none answers.
    pub async fn session(&self) -> Result<Session, HttpError> {
        let State { config, addresses, at, .. } = self.state();
        let mut last = HttpError::Malformed;
        for step in 0..addresses.len() {
            let here = (at + step) % addresses.len();
            match Connection::open(config.clone(), &addresses[here]).await {
                Ok(connection) => {
                    self.prefer(here);
                    return Ok(Session { connection });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn prefer(&self, at: usize) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).at = at;
    }

    /// The management point in use disappointed: the next session goes to the next one.
    pub fn turn_away(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.at = (state.at + 1) % state.addresses.len().max(1);
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
    let Stage::Active { management_points, .. } = &identity.stage else { return Err(SiteError::NotActive) };
    // An address is a hint. Who answers there is decided by the certificate; what does not look like an address is left out.
    let mut seen = HashSet::new();
    let addresses: Vec<Address> =
        management_points.iter().filter(|text| seen.insert(*text)).filter_map(|text| text.parse().ok()).collect();
    if addresses.is_empty() {
        return Err(SiteError::NoManagementPoint);
    }
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
    Ok(State { has_enterprise, identity, trust, config: Arc::new(config), addresses, at: 0 })
}

/// A connection to a management point, with one method for each thing that it can be asked.
#[derive(Debug)]
pub struct Session {
    connection: Connection,
}

impl Session {
    /// The trust bundles that follow on what the client has: see [`crate::trust::fetch`].
    ///
    /// # Errors
    /// See [`TrustError`].
    pub async fn trust(
        &mut self,
        chain: &TrustChain,
        limits: &Limits,
        now: UnixMillis,
    ) -> Result<Option<TrustChain>, TrustError> {
        trust::fetch(&mut self.connection, "/mp/v1/trust-bundle", chain, limits, now).await
    }

    /// `GET /mp/v1/assignment`. The first is the site's time as the server says it, where it does; the second is `None` when the
    /// one of `version` is still the newest.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn assignment(
        &mut self,
        version: Option<u64>,
        limits: &Limits,
    ) -> Result<(Option<UnixMillis>, Option<Bytes>), HttpError> {
        let mut ask = Ask::get("/mp/v1/assignment");
        if let Some(version) = version {
            ask = ask.with(header::IF_NONE_MATCH, &format!("\"{version}\""));
        }
        let (status, headers, body) = self.connection.fetch(ask, limits.object_bytes).await?;
        let date = headers.get(header::DATE).and_then(|date| http_date(date.to_str().ok()?));
        Ok((date, (status != StatusCode::NOT_MODIFIED).then_some(body)))
    }

    /// `POST /mp/v1/assignment`: what the client has, where the site's is older or another.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn show_assignment(&mut self, envelope: Vec<u8>) -> Result<(), HttpError> {
        let ask = Ask::post("/mp/v1/assignment", "application/cose", envelope);
        self.connection.fetch(ask, ANSWER_BYTES).await.map(drop)
    }

    /// `POST /mp/v1/sealing-key`: to which key secrets for this client are sealed from now on.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn sealing_key(&mut self, statement: Vec<u8>) -> Result<(), HttpError> {
        let ask = Ask::post("/mp/v1/sealing-key", "application/cose", statement);
        self.connection.fetch(ask, ANSWER_BYTES).await.map(drop)
    }

    /// `GET /mp/v1/bodies/{hash}`.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn body(&mut self, hash: Hash, size: usize) -> Result<Bytes, HttpError> {
        Ok(self.connection.fetch(Ask::get(&format!("/mp/v1/bodies/{hash}")), size).await?.2)
    }

    /// `GET /mp/v1/content/{hash}` from byte `from` on; at most `size` bytes in all. The first says where the bytes really start.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn content(&mut self, hash: Hash, from: u64, size: u64) -> Result<(u64, Body), HttpError> {
        let path = format!("/mp/v1/content/{hash}");
        let mut ask = Ask::get(&path);
        if from > 0 {
            ask = ask.with(header::RANGE, &format!("bytes={from}-"));
        }
        let answer = self.connection.ask(ask).await?;
        let partial = answer.status() == StatusCode::PARTIAL_CONTENT;
        let range = answer.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
        let starts = match (partial, range) {
            (false, _) => 0,
            (true, Some(range)) if range.starts_with(&format!("bytes {from}-")) => from,
            (true, _) => return Err(HttpError::Malformed),
        };
        Ok((starts, Body::new(answer.into_body(), size.saturating_sub(starts))))
    }

    /// `POST /mp/v1/reports`.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn report(&mut self, envelope: Vec<u8>) -> Result<ReportAnswer, HttpError> {
        self.connection.json(Ask::post("/mp/v1/reports", "application/cose", envelope), ANSWER_BYTES).await
    }

    /// `POST /mp/v1/certificate`.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn renew(&mut self, request: &RenewRequest) -> Result<RenewAnswer, HttpError> {
        let body = serde_json::to_vec(request).map_err(|_| HttpError::Malformed)?;
        self.connection.json(Ask::post("/mp/v1/certificate", "application/json", body), ANSWER_BYTES).await
    }

    /// `GET /mp/v1/live`: the events as they come.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn live(mut self) -> Result<Live, HttpError> {
        let ask = Ask::get("/mp/v1/live").with(header::ACCEPT, "text/event-stream");
        let answer = self.connection.ask(ask).await?;
        Ok(Live {
            body: Body::new(answer.into_body(), u64::MAX),
            events: Events::default(),
            _connection: self.connection,
        })
    }
}

/// The live channel.
#[derive(Debug)]
pub struct Live {
    body: Body,
    events: Events,
    _connection: Connection,
}

/// How long the live channel may be silent; the site sends a sign of life about every minute.
const LIVE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(150);
/// Bytes of one line of the live channel.
const LINE_BYTES: usize = 1_024;

impl Live {
    /// Waits for the next `changed`.
    ///
    /// # Errors
    /// When the channel is closed, silent for too long, or no event stream.
    pub async fn changed(&mut self) -> Result<(), HttpError> {
        loop {
            let Some(piece) = self.body.live_piece(LIVE_PATIENCE).await? else { return Err(HttpError::Stalled) };
            if self.events.feed(&piece)? {
                return Ok(());
            }
        }
    }
}

/// Reads server-sent events, however they are cut into pieces. Only `changed` means anything; comments keep the channel alive,
/// and everything else is passed over.
#[derive(Debug, Default)]
pub struct Events {
    line: Vec<u8>,
}

impl Events {
    /// Takes the next piece; whether it completed a `changed`.
    ///
    /// # Errors
    /// [`HttpError::TooLarge`] for a line over its limit.
    pub fn feed(&mut self, piece: &[u8]) -> Result<bool, HttpError> {
        let mut changed = false;
        for byte in piece {
            match byte {
                b'\n' => {
                    changed |= self.line.trim_ascii_end() == b"event: changed";
                    self.line.clear();
                }
                _ if self.line.len() == LINE_BYTES => return Err(HttpError::TooLarge { limit: LINE_BYTES as u64 }),
                byte => self.line.push(*byte),
            }
        }
        Ok(changed)
    }
}

/// The one form of HTTP date that is sent today: `Tue, 24 Nov 2026 07:10:00 GMT`.
fn http_date(text: &str) -> Option<UnixMillis> {
    let date = jiff::fmt::rfc2822::parse(&text.replace("GMT", "+0000")).ok()?;
    Some(UnixMillis(date.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_they_are_cut() {
        let stream = b": open\n\nevent: other\ndata: 1\n\nevent: changed\r\ndata: 1\n\n: \n\n";
        for at in 0..stream.len() {
            let mut events = Events::default();
            let found = [&stream[..at], &stream[at..]].map(|piece| events.feed(piece).unwrap());
            assert_eq!(found.iter().filter(|changed| **changed).count(), 1, "cut at {at}");
        }
        let mut events = Events::default();
        assert!(events.feed(&[b'x'; LINE_BYTES]).is_ok());
        assert!(events.feed(b"x").is_err(), "a line without end is no line");
    }

    #[test]
    fn the_date_of_an_answer_is_read() {
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:01 GMT"), Some(UnixMillis(1_000)));
        assert_eq!(http_date("Tue, 24 Nov 2026 07:10:00 GMT"), Some(UnixMillis(1_795_504_200_000)));
        for bad in ["", "yesterday", "2026-11-24"] {
            assert_eq!(http_date(bad), None, "{bad}");
        }
    }
}
