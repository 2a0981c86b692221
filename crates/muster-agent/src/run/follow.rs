//! Follows the site: policy, at its interval and when the live channel says that something changed; the trust bundle; and the
//! client's own certificate.

use crate::{
    agent::Agent,
    clock::{Backoff, random, spread},
    enrol,
    http::HttpError,
    identity,
    policy::{self, Expected, Policy},
    site::Session,
};
use bytes::Bytes;
use muster_model::{
    id::Hash,
    policy::{Assignment, BodyRef, PolicyRefusal},
    status::{Component, MessageId, Severity},
    time::{DAY, HOUR},
};
use muster_trust::{Verified, certificate::CLIENT_LIFETIME, ocsp::StatusError, sha256};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

/// How long a live channel must have stood before its loss counts as the first failure again.
const STOOD: Duration = Duration::from_secs(60);
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
    /// The client is not what it was.
    #[error(transparent)]
    Site(#[from] crate::site::SiteError),
}

/// Fetches policy whenever it is time, until the task is ended.
pub async fn policy(agent: Arc<Agent>, publish: watch::Sender<Option<Arc<Policy>>>, wake: Arc<Notify>) {
    let mut backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(1_800));
    let mut follower = Follower { agent: agent.clone(), publish, refused: None };
    let mut unproven = None;
    loop {
        let refreshed = follower.refresh().await;
        if let Err(error) = identity::store_statuses(&agent.directory, &agent.site.statuses) {
            tracing::warn!(%error, "the status of the server could not be kept");
        }
        unproven = server_refused(&agent, refreshed.as_ref().err(), unproven).await;
        let wait = match refreshed {
            Ok(()) => {
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
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = wake.notified() => {}
        }
    }
}

/// Reports once that a server's certificate was refused, and gets a newer trust bundle when the bundle does not know its CA.
async fn server_refused(
    agent: &Agent,
    error: Option<&FollowError>,
    before: Option<StatusError>,
) -> Option<StatusError> {
    let Some(FollowError::Http(HttpError::Unproven { reason, .. })) = error else { return None };
    if before != Some(*reason) {
        let values = [("reason", reason.as_str())];
        agent.report(Component::Agent, Severity::Error, MessageId::ServerRefused, &values);
    }
    if *reason == StatusError::IssuerUnknown
        && let Err(error) = enrol::renew_bundle(&agent.directory, &agent.site).await
    {
        tracing::warn!(%error, "no trust bundle that knows the server's CA could be had");
    }
    Some(*reason)
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
        tracing::debug!(error = %lost, wait = wait.as_secs(), "the live channel is gone; it is opened again");
        tokio::time::sleep(wait).await;
    }
}

/// Listens until the channel is lost; returns why.
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
        let left = agent.site.certificate_expires().map_or(0, |expires| expires.since(agent.clock.now()));
        if left < CLIENT_LIFETIME / 3 {
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

async fn renew(agent: &Agent) -> Result<(), enrol::EnrolError> {
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
    pub refused: Option<(PolicyRefusal, Hash)>,
}

impl Follower {
    fn poll_interval(&self) -> Duration {
        let millis = self.publish.borrow().as_deref().map_or(HOUR, |policy| policy.settings().policy_poll);
        Duration::from_millis(millis.unsigned_abs())
    }

    /// One look at the site.
    ///
    /// # Errors
    /// See [`FollowError`]; the policy in force stays then.
    pub async fn refresh(&mut self) -> Result<(), FollowError> {
        let mut session = self.agent.site.session().await?;
        let version = self.publish.borrow().as_deref().map(|policy| policy.assignment().version);
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

    async fn accept(&self, session: &mut Session, envelope: &Bytes) -> Result<(), FollowError> {
        let assignment = match self.check(envelope)? {
            Err(PolicyRefusal::TrustTooOld) => {
                self.renew_bundle(session).await?;
                self.check(envelope)?.map_err(FollowError::Refused)?
            }
            other => other.map_err(FollowError::Refused)?,
        };
        let Some(assignment) = assignment else { return Ok(()) };
        let bodies = self.fetch_bodies(session, assignment.value()).await?;
        let bundle = self.agent.site.bundle();
        let policy = policy::assemble(assignment, envelope, bundle.value(), &bodies).map_err(FollowError::Refused)?;
        policy::store(&self.agent.policies, &policy, envelope, &bodies).map_err(FollowError::Disk)?;
        let (version, issued) = (policy.assignment().version, policy.assignment().issued);
        self.agent.raise_floor(issued);
        self.agent.raise_version(version);
        self.publish.send_replace(Some(Arc::new(policy)));
        tracing::info!(version, "policy accepted");
        let text = version.to_string();
        self.agent.report(Component::Policy, Severity::Information, MessageId::PolicyAccepted, &[("version", &text)]);
        Ok(())
    }

    fn check(&self, envelope: &[u8]) -> Result<Result<Option<Verified<Assignment>>, PolicyRefusal>, FollowError> {
        let agent = &self.agent;
        let (bundle, identity) = (agent.site.bundle(), agent.site.identity());
        let expected = Expected {
            bundle: bundle.value(),
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

    /// A bundle that ends soon is renewed without being asked to.
    async fn renew_bundle_in_time(&self, session: &mut Session) -> Result<(), FollowError> {
        let expires = self.agent.site.bundle().value().expires;
        if expires.since(self.agent.clock.now()) < 30 * DAY {
            self.renew_bundle(session).await?;
        }
        Ok(())
    }

    /// The successor of the trust bundle in force, by its own rules. One that is refused changes nothing.
    async fn renew_bundle(&self, session: &mut Session) -> Result<(), FollowError> {
        let agent = &self.agent;
        let envelope = session.trust_bundle(&agent.limits).await?;
        let (bundle, identity) = (agent.site.bundle(), agent.site.identity());
        let now = agent.clock.now().max(agent.floor());
        let next = match bundle.value().next(&envelope, now) {
            Ok(next) if next.value().version > bundle.value().version => next,
            Ok(_) => return Ok(()),
            Err(error) => {
                tracing::error!(%error, "the site's trust bundle was refused");
                return Ok(());
            }
        };
        identity::store_bundle(&agent.directory, &next, &envelope)
            .map_err(|error| FollowError::Disk(std::io::Error::other(error)))?;
        agent.raise_floor(next.value().issued);
        tracing::info!(version = next.value().version, "trust bundle accepted");
        agent.site.change(identity.clone(), Arc::new(next))?;
        // What the old bundle's keys signed may be believed no longer.
        let bundle = agent.site.bundle();
        let again = policy::load(&agent.policies, bundle.value(), &identity, agent.recipient()?, &agent.clock);
        if let Some(again) = again {
            self.publish.send_replace(Some(Arc::new(again)));
        }
        Ok(())
    }
}
