//! Follows the site: policy, at its interval and when the live channel says that something changed; the trust bundle; and the
//! client's own certificate.

use crate::{
    agent::Agent,
    clock::{Backoff, random, spread},
    enrol, enterprise, health,
    http::HttpError,
    identity,
    policy::{self, Expected, Policy},
    session::Session,
    trust::TrustError,
};
use bytes::Bytes;
use muster_model::{
    id::Hash,
    policy::{Assignment, BodyRef, PolicyRefusal},
    status::{Component, MessageId, Severity},
    time::{DAY, HOUR, UnixMillis},
};
use muster_trust::{
    TrustChain, Verified, bundle::BundleError, certificate::CLIENT_LIFETIME, ocsp::StatusError, sha256,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

/// How long a live channel must have stood before its loss counts as the first failure again.
const STOOD: Duration = Duration::from_secs(60);
/// How often a newer trust bundle is looked for at least.
const DAILY: Duration = Duration::from_secs(86_400);
/// How often the certificate is looked at.
const LOOK: Duration = Duration::from_secs(3_600);

/// Why there is no newer policy.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The site cannot be reached, or refused.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The policy was refused by the client.
    #[error("a policy was refused: {}", .0.as_str())]
    Refused(PolicyRefusal),
    /// It could not be kept.
    #[error("a policy could not be kept: {0}")]
    Disk(std::io::Error),
    /// Other certificates could not be had.
    #[error(transparent)]
    Enrol(#[from] enrol::EnrolError),
    /// The client is not what it was.
    #[error(transparent)]
    Site(#[from] crate::site::SiteError),
}

/// Fetches policy whenever it is time, until the task is ended.
pub async fn policy(agent: Arc<Agent>, publish: watch::Sender<Option<Arc<Policy>>>, wake: Arc<Notify>) {
    let mut backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(1_800));
    let mut follower = Follower::new(agent.clone(), publish);
    let mut unproven = None;
    loop {
        let refreshed = follower.refresh().await;
        agent.window_time.asked();
        if let Err(error) = identity::store_statuses(&agent.directory, &agent.site.statuses) {
            tracing::warn!(%error, "the status of the server could not be kept");
        }
        super::locate::report(&agent);
        unproven = follower.server_refused(refreshed.as_ref().err(), unproven);
        let wait = match refreshed {
            Ok(()) => {
                let now = agent.clock.now().0.to_string();
                if let Err(error) = agent.store.set_value(health::FETCHED, &now) {
                    tracing::warn!(%error, "it could not be kept that the policy is fresh");
                }
                agent.site.content();
                backoff.reset();
                spread(follower.poll_interval(), random())
            }
            Err(error) => {
                if let FollowError::Http(error) = &error {
                    agent.site.turn_away();
                    if error.clock_difference().is_some() {
                        agent.compare_clock(error.clock_difference());
                    }
                }
                let wait = backoff.next(random()).min(follower.poll_interval());
                tracing::warn!(%error, wait = wait.as_secs(), "policy could not be renewed; the last good one stays in force");
                wait
            }
        };
        agent.health.fetched.notify_waiters();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = wake.notified() => {}
            () = agent.time_wanted.notified() => {}
        }
    }
}

/// The live channel: tells the policy task when something changed. Losing it only costs time.
pub async fn live(agent: Arc<Agent>, wake: Arc<Notify>) {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(300));
    let mut refused = false;
    loop {
        let since = Instant::now();
        let lost = listen(&agent, &wake).await;
        if since.elapsed() > STOOD {
            backoff.reset();
        }
        let wait = backoff.next(random());
        let not_active = lost.is_locked_out();
        if not_active && !refused {
            tracing::warn!(error = %lost, "this client is blocked or retired at its site; it goes on when an administrator lets it in again");
        }
        refused = not_active;
        if may_know_others(&lost) {
            // The policy task finds out whether there are other certificates to believe.
            wake.notify_one();
        }
        tracing::debug!(error = %lost, wait = wait.as_secs(), "the live channel is gone; it is opened again");
        tokio::time::sleep(wait).await;
    }
}

/// Listens until the channel is lost; returns why.
/// Whether it may be that one side knows other issuing CAs, or another root, than the other by now. A clock that is wrong and a
/// certificate that was revoked are another matter.
fn may_know_others(error: &HttpError) -> bool {
    match error {
        HttpError::Tls { .. } => error.clock_difference().is_none() && !error.is_locked_out(),
        HttpError::Unproven { reason, .. } => *reason == StatusError::IssuerUnknown,
        _ => false,
    }
}

async fn listen(agent: &Agent, wake: &Notify) -> HttpError {
    let channel = async { agent.site.session().await?.live().await };
    let mut live = match channel.await {
        Ok(live) => live,
        Err(error) => return error,
    };
    tracing::debug!("the live channel stands");
    // Whatever changed while it was not there.
    wake.notify_one();
    loop {
        match live.changed().await {
            Ok(()) => wake.notify_one(),
            Err(error) => return error,
        }
    }
}

/// Renews the client certificate at two thirds of its life.
pub async fn certificate(agent: Arc<Agent>) {
    loop {
        match enterprise::refresh(&agent.directory, &agent.site, false).await {
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the certificate of the enterprise is not looked after"),
        }
        let left = agent.site.certificate_expires().map_or(0, |expires| expires.since(agent.clock.now()));
        if left < CLIENT_LIFETIME / 3 || !enrol::is_of_newest_issuer(&agent.site) {
            match renew(&agent).await {
                Ok(()) => {}
                Err(error) if left < DAY => {
                    tracing::error!(%error, "the client certificate ends soon and is not renewed")
                }
                Err(error) => tracing::warn!(%error, "the client certificate is not renewed yet"),
            }
        }
        tokio::time::sleep(spread(LOOK, random())).await;
    }
}

pub(crate) async fn renew(agent: &Agent) -> Result<(), enrol::EnrolError> {
    let mut session = agent.site.session().await?;
    let expires = enrol::renew(&agent.directory, &agent.site, &mut session).await?;
    let text = crate::clock::shown(expires);
    tracing::info!(expires = text, "the client certificate was renewed");
    agent.report(Component::Agent, Severity::Information, MessageId::CertificateRenewed, &[("expires", &text)]);
    Ok(())
}

/// Brings the policy in force up to date.
#[derive(Debug)]
pub struct Follower {
    /// The agent.
    pub agent: Arc<Agent>,
    /// Where the policy in force is made known.
    pub publish: watch::Sender<Option<Arc<Policy>>>,
    /// What was refused last, so that it is reported once.
    refused: Option<(PolicyRefusal, Hash)>,
    /// The trust bundle that was refused last, in the same way.
    refused_trust: Option<String>,
    /// When the trust bundle was last looked for.
    looked: Option<Instant>,
}

impl Follower {
    /// A follower that publishes there.
    #[must_use]
    pub fn new(agent: Arc<Agent>, publish: watch::Sender<Option<Arc<Policy>>>) -> Self {
        Self { agent, publish, refused: None, refused_trust: None, looked: None }
    }

    fn poll_interval(&self) -> Duration {
        let millis = self.publish.borrow().as_deref().map_or(HOUR, |policy| policy.settings().policy_poll);
        Duration::from_millis(millis.unsigned_abs())
    }

    /// One look at the site. Where its certificate is not one that this client believes, or the client's is believed no longer,
    /// it first asks whether there are other authorities by now.
    ///
    /// # Errors
    /// See [`FollowError`]; the policy in force stays then.
    pub async fn refresh(&mut self) -> Result<(), FollowError> {
        let had = self.publish.borrow().is_some();
        let error = match self.look().await {
            Err(FollowError::Http(error)) if may_know_others(&error) || self.may_be_renewed(&error) => error,
            // A new trust bundle came, and ended the policy.
            Ok(()) if had && self.publish.borrow().is_none() => return self.look().await,
            // A site whose database was restored knows less than its clients; it believes its own signature.
            Err(FollowError::Refused(refusal @ (PolicyRefusal::Older | PolicyRefusal::Fork))) => {
                return match self.show_kept().await {
                    Ok(true) => self.look().await,
                    Ok(false) => Err(FollowError::Refused(refusal)),
                    Err(reason) => {
                        tracing::debug!(%reason, "the site does not go on from the policy that this client has");
                        Err(FollowError::Refused(refusal))
                    }
                };
            }
            other => return other,
        };
        match self.catch_up().await {
            Ok(true) => self.look().await,
            Ok(false) => Err(error.into()),
            Err(reason) => {
                tracing::warn!(%reason, "no other trust bundle or certificate could be had");
                Err(error.into())
            }
        }
    }

    /// Whether the site may know another certificate of the enterprise than this client showed: one that was announced, and whose
    /// answer was lost.
    fn may_be_renewed(&self, error: &HttpError) -> bool {
        self.agent.site.identity().enterprise.is_some() && error.is_locked_out()
    }

    /// Shows the site the policy in force. Whether there is one to show.
    async fn show_kept(&self) -> Result<bool, HttpError> {
        let in_force = self.publish.borrow().clone();
        let kept = in_force.and_then(|policy| policy::kept_assignment(&self.agent.policies, &policy));
        let Some(kept) = kept else { return Ok(false) };
        self.agent.site.session().await?.show_assignment(kept).await?;
        Ok(true)
    }

    async fn catch_up(&mut self) -> Result<bool, FollowError> {
        let agent = self.agent.clone();
        let address = agent.site.identity().enrol.parse().map_err(enrol::EnrolError::Address)?;
        let newer = enrol::newer_trust(&address, &agent.site.trust(), &agent.limits, self.now()).await;
        let is_newer = match newer {
            Ok(Some(newer)) => {
                self.take_trust(newer)?;
                true
            }
            Ok(None) => false,
            Err(enrol::EnrolError::Bundle(error)) => {
                self.refuse_trust(&error);
                false
            }
            Err(error) => return Err(error.into()),
        };
        let recovered = enrol::recover_certificate(&agent.directory, &agent.site).await?;
        let renewed = enterprise::refresh(&agent.directory, &agent.site, true).await?;
        Ok(recovered || renewed || is_newer)
    }

    /// Reports once that a server's certificate was refused.
    fn server_refused(&self, error: Option<&FollowError>, before: Option<StatusError>) -> Option<StatusError> {
        let Some(FollowError::Http(HttpError::Unproven { reason, .. })) = error else { return None };
        if before != Some(*reason) {
            let values = [("reason", reason.as_str())];
            self.agent.report(Component::Agent, Severity::Error, MessageId::ServerRefused, &values);
        }
        Some(*reason)
    }

    /// The time, but never before the last that the site signed.
    fn now(&self) -> UnixMillis {
        self.agent.clock.now().max(self.agent.floor())
    }

    async fn look(&mut self) -> Result<(), FollowError> {
        let mut session = self.agent.site.session().await?;
        let version = self.publish.borrow().as_deref().map(|policy| policy.assignment().version);
        if let Some(version) = version {
            self.agent.report_policy(version);
        }
        let answer = session.assignment(version, &self.agent.limits).await;
        let envelope = match answer {
            // Not what an assignment may have; nothing of it was kept.
            Err(HttpError::TooLarge { .. }) => return Err(self.refuse(PolicyRefusal::TooLarge, Hash::ZERO)),
            other => {
                let (date, envelope) = other?;
                let difference = date.map(|date| self.agent.clock.now().since(date) / 1_000);
                self.agent.compare_clock(difference);
                envelope
            }
        };
        let Some(envelope) = envelope else { return self.renew_bundle_in_time(&mut session).await };
        match self.accept(&mut session, &envelope).await {
            Err(FollowError::Refused(refusal)) => Err(self.refuse(refusal, sha256(&envelope))),
            other => other,
        }
    }

    fn refuse(&mut self, refusal: PolicyRefusal, what: Hash) -> FollowError {
        if self.refused.replace((refusal, what)) != Some((refusal, what)) {
            let reason = [("reason", refusal.as_str())];
            self.agent.report(Component::Policy, Severity::Error, MessageId::PolicyRefused, &reason);
        }
        FollowError::Refused(refusal)
    }

    async fn accept(&mut self, session: &mut Session, envelope: &Bytes) -> Result<(), FollowError> {
        let assignment = match self.check(envelope)? {
            // The key that signed may be one that a newer bundle names.
            Err(PolicyRefusal::TrustTooOld | PolicyRefusal::SignatureInvalid) => {
                self.renew_bundle(session).await?;
                self.check(envelope)?.map_err(FollowError::Refused)?
            }
            other => other.map_err(FollowError::Refused)?,
        };
        let Some(assignment) = assignment else { return Ok(()) };
        let bodies = self.fetch_bodies(session, assignment.value()).await?;
        let trust = self.agent.site.trust();
        let policy = policy::assemble(assignment, envelope, trust.bundle(), &bodies).map_err(FollowError::Refused)?;
        policy::store(&self.agent.policies, &policy, envelope, &bodies).map_err(FollowError::Disk)?;
        let (version, issued) = (policy.assignment().version, policy.assignment().issued);
        self.agent.raise_floor(issued);
        if let Some(signer) = policy.signer() {
            self.agent.raise_version(signer, version);
        }
        self.publish.send_replace(Some(Arc::new(policy)));
        tracing::info!(version, "policy accepted");
        self.agent.report_policy(version);
        Ok(())
    }

    fn check(&self, envelope: &[u8]) -> Result<Result<Option<Verified<Assignment>>, PolicyRefusal>, FollowError> {
        let agent = &self.agent;
        let (trust, identity) = (agent.site.trust(), agent.site.identity());
        let expected = Expected {
            bundle: trust.bundle(),
            identity: &identity,
            recipient: agent.recipient()?,
            now: agent.clock.now(),
            floor: agent.floor(),
            least_version: agent.least_version(),
        };
        let in_force = self.publish.borrow().clone();
        Ok(policy::check_assignment(envelope, expected, in_force.as_deref(), &agent.limits))
    }

    async fn fetch_bodies(
        &self,
        session: &mut Session,
        assignment: &Assignment,
    ) -> Result<BTreeMap<Hash, Vec<u8>>, FollowError> {
        let mut bodies = BTreeMap::new();
        for reference in &assignment.bodies {
            if bodies.contains_key(&reference.hash) {
                continue;
            }
            let body = match policy::kept_body(&self.agent.policies, reference) {
                Some(body) => body,
                None => self.fetch_body(session, reference).await?,
            };
            bodies.insert(reference.hash, body);
        }
        Ok(bodies)
    }

    async fn fetch_body(&self, session: &mut Session, reference: &BodyRef) -> Result<Vec<u8>, FollowError> {
        let size = usize::try_from(reference.size).unwrap_or(usize::MAX);
        if size > self.agent.limits.object_bytes {
            return Err(FollowError::Refused(PolicyRefusal::TooLarge));
        }
        match session.body(reference.hash, size).await {
            Ok(body) => {
                policy::check_body(reference, &body).map_err(FollowError::Refused)?;
                Ok(body.into())
            }
            Err(HttpError::TooLarge { .. }) => Err(FollowError::Refused(PolicyRefusal::BodyAltered)),
            Err(HttpError::Refused(_) | HttpError::Status(_)) => Err(FollowError::Refused(PolicyRefusal::BodyMissing)),
            Err(error) => Err(error.into()),
        }
    }

    /// A newer bundle is looked for once a day without being asked to, and at each look where the one in force ends soon.
    async fn renew_bundle_in_time(&mut self, session: &mut Session) -> Result<(), FollowError> {
        let expires = self.agent.site.trust().bundle().expires;
        let ends_soon = expires.since(self.agent.clock.now()) < 30 * DAY;
        if ends_soon || self.looked.is_none_or(|looked| looked.elapsed() > DAILY) {
            self.renew_bundle(session).await?;
        }
        Ok(())
    }

    /// The successors of the trust bundle in force, by their own rules. One that is refused changes nothing.
    async fn renew_bundle(&mut self, session: &mut Session) -> Result<(), FollowError> {
        let agent = self.agent.clone();
        self.looked = Some(Instant::now());
        match session.trust(&agent.site.trust(), &agent.limits, self.now()).await {
            Ok(Some(newer)) => self.take_trust(newer),
            Ok(None) => Ok(()),
            Err(TrustError::Bundle(error)) => {
                self.refuse_trust(&error);
                Ok(())
            }
            Err(TrustError::Http(error)) => Err(error.into()),
        }
    }

    fn refuse_trust(&mut self, error: &BundleError) {
        let reason = error.to_string();
        if self.refused_trust.as_ref() != Some(&reason) {
            tracing::error!(reason, "the site's trust bundle was refused");
            let values = [("reason", reason.as_str())];
            self.agent.report(Component::Policy, Severity::Error, MessageId::TrustRefused, &values);
            self.refused_trust = Some(reason);
        }
    }

    /// Takes a chain that was verified to its end: on the disk first. A policy that nobody signed who is believed by it ends.
    fn take_trust(&mut self, newer: TrustChain) -> Result<(), FollowError> {
        let agent = &self.agent;
        identity::store_trust(&agent.directory, &newer)
            .map_err(|error| FollowError::Disk(std::io::Error::other(error)))?;
        let (version, issued) = (newer.bundle().version, newer.bundle().issued);
        // What lies far ahead of the client's clock says that a clock is wrong; it could not be taken back.
        if issued <= agent.clock.now().plus(policy::AHEAD) {
            agent.raise_floor(issued);
        }
        let (identity, newer) = (agent.site.identity(), Arc::new(newer));
        agent.site.change(identity.clone(), newer.clone())?;
        tracing::info!(version, "trust bundle accepted");
        let text = version.to_string();
        agent.report(Component::Policy, Severity::Information, MessageId::TrustAccepted, &[("version", &text)]);
        let kept = policy::load(&agent.policies, newer.bundle(), &identity, agent.recipient()?, &agent.clock);
        if kept.is_none() {
            tracing::warn!(
                "nobody who is believed by the new trust bundle signed the policy; it ends, and another is fetched"
            );
            policy::forget(&agent.policies).map_err(FollowError::Disk)?;
        }
        self.publish.send_replace(kept.map(Arc::new));
        self.refused_trust = None;
        Ok(())
    }
}
