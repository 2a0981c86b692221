//! Policy: what the site wants of this client, believed only after every check, kept only after that, and never taken back.

mod related;

pub use related::Related;
use related::{each, several};

use crate::{clock::Clock, identity::Identity, os::PrivateDirectory};
use muster_model::{
    api::Target,
    application::Application,
    baseline::Baseline,
    compliance::BaselinePolicy,
    deployment_approval::DeploymentApproval,
    id::{DeploymentId, EnrolmentId, Hash},
    limits::{Limits, RELATED_APPLICATIONS},
    log::LogRequest,
    policy::{
        ASSIGNMENT_LIFETIME, Assignment, BodyKind, BodyRef, ClientSettings, DeploymentPolicy, LocationPolicy,
        PolicyRefusal, Recipient, WindowPolicy,
    },
    secret::SealedSecret,
    time::{DAY, UnixMillis},
    window::MaintenanceWindow,
};
use muster_trust::{
    TrustBundle, Verified,
    deployment_approval::{self, Order},
    envelope::{self, EnvelopeError},
    sha256,
};
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, io};

/// The assignment in force, in the policy directory; its bodies lie beside it under their hashes.
const ASSIGNMENT: &str = "assignment.cose";
/// How far the site's clock may be ahead of the client's.
pub(crate) const AHEAD: i64 = DAY;

/// What an assignment is checked against.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The trust bundle in force.
    pub bundle: &'a TrustBundle,
    /// The client.
    pub identity: &'a Identity,
    /// Who the client is to the site.
    pub recipient: Recipient,
    /// The client's time.
    pub now: UnixMillis,
    /// The highest time that the site ever signed for this client: it is at least that late.
    pub floor: UnixMillis,
    /// The highest version that a key which is still believed ever signed, also when what was kept of it is gone.
    pub least_version: u64,
}

/// A policy of which every part was verified. Only this module makes one.
#[derive(Debug)]
pub struct Policy {
    assignment: Verified<Assignment>,
    digest: Hash,
    settings: ClientSettings,
    location: Option<LocationPolicy>,
    windows: Option<WindowPolicy>,
    /// One that this client does not understand it does not answer.
    log_request: Option<LogRequest>,
    deployments: Vec<Deployment>,
    /// Deployments of which the site says more than this client understands.
    unread: Vec<UnreadDeployment>,
    baselines: Vec<BaselineDeployment>,
    /// For this device, by authors whom the trust bundle names. Still sealed.
    secrets: Vec<SealedSecret>,
}

/// A deployment of which the site says more than this client understands: nothing of it is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
pub struct UnreadDeployment {
    /// The deployment.
    pub deployment: DeploymentId,
    /// SHA-256 of its signed application object.
    pub application: Hash,
}

/// A deployment with its application.
#[derive(Debug)]
pub struct Deployment {
    policy: DeploymentPolicy,
    /// `None`: no signature of authors whom the trust bundle names, or not a sound application.
    application: Option<Verified<Application>>,
    /// Its deployment types, each as an application of its own; one that has one type has none here.
    types: Vec<Application>,
    /// Applications that come along, as far as their authors are believed.
    related: Vec<Related>,
    /// What somebody signed who signed nothing of it otherwise.
    approval: Option<Verified<DeploymentApproval>>,
}

/// A deployment of a baseline with the baseline.
#[derive(Debug)]
pub struct BaselineDeployment {
    policy: BaselinePolicy,
    /// `None`: no signature of authors whom the trust bundle names, or not a sound baseline.
    baseline: Option<Verified<Baseline>>,
}

impl BaselineDeployment {
    /// Which baseline, and how often.
    #[must_use]
    pub const fn policy(&self) -> &BaselinePolicy {
        &self.policy
    }

    /// The baseline, if its authors are believed.
    #[must_use]
    pub const fn baseline(&self) -> Option<&Verified<Baseline>> {
        self.baseline.as_ref()
    }
}

impl Deployment {
    /// Applications that come along. What is done with one of them, the deployment's own application says and nobody else.
    #[must_use]
    pub fn related(&self) -> &[Related] {
        &self.related
    }

    /// The deployment types of this object: of its own, or of one that comes along.
    #[must_use]
    pub fn types_of(&self, hash: Hash) -> &[Application] {
        if self.policy.application == hash {
            return self.types();
        }
        self.related.iter().find(|related| related.hash() == hash).map_or(&[], Related::types)
    }

    /// Its own deployment types in their order, each as an application of its own; none: nobody is believed.
    #[must_use]
    pub fn types(&self) -> &[Application] {
        self.application.as_ref().map_or(&[], |application| each(&self.types, application.value()))
    }

    /// The approval by a key that signed nothing of what it runs; whether it is in time is another question.
    #[must_use]
    pub const fn approval(&self) -> Option<&Verified<DeploymentApproval>> {
        self.approval.as_ref()
    }

    /// Which application, and when.
    #[must_use]
    pub const fn policy(&self) -> &DeploymentPolicy {
        &self.policy
    }

    /// The application, if its authors are believed.
    #[must_use]
    pub const fn application(&self) -> Option<&Verified<Application>> {
        self.application.as_ref()
    }
}

impl Policy {
    /// The policy key that signed the assignment.
    #[must_use]
    pub fn signer(&self) -> Option<Hash> {
        self.assignment.signers().first().copied()
    }

    /// The assignment.
    #[must_use]
    pub fn assignment(&self) -> &Assignment {
        self.assignment.value()
    }

    /// Digest of its envelope.
    #[must_use]
    pub const fn digest(&self) -> Hash {
        self.digest
    }

    /// Client settings, in their limits.
    #[must_use]
    pub const fn settings(&self) -> &ClientSettings {
        &self.settings
    }

    /// The order of the management points, nearest first; empty: there is none.
    #[must_use]
    pub fn ranks(&self) -> &[Vec<String>] {
        self.location.as_ref().map_or(&[], |location| &location.management_points)
    }

    /// The maintenance windows, of every kind; empty: there are none.
    #[must_use]
    pub fn windows(&self) -> &[MaintenanceWindow] {
        self.windows.as_ref().map_or(&[], |policy| &policy.windows)
    }

    /// The piece of the log that the site wants.
    #[must_use]
    pub const fn log_request(&self) -> Option<&LogRequest> {
        self.log_request.as_ref()
    }

    /// The deployments.
    #[must_use]
    pub fn deployments(&self) -> &[Deployment] {
        &self.deployments
    }

    /// Deployments that a newer site made and this client does not understand.
    #[must_use]
    pub fn unread(&self) -> &[UnreadDeployment] {
        &self.unread
    }

    /// The baselines that it is held against.
    #[must_use]
    pub fn baselines(&self) -> &[BaselineDeployment] {
        &self.baselines
    }

    /// Secrets for this device, still sealed, each signed by as many authors as the trust bundle wants.
    #[must_use]
    pub fn secrets(&self) -> &[SealedSecret] {
        &self.secrets
    }

    /// Whether it is still to be believed: nothing new is started by a policy past its expiry, or under a trust bundle past its own.
    #[must_use]
    pub fn is_current(&self, bundle: &TrustBundle, now: UnixMillis, floor: UnixMillis) -> bool {
        let now = now.max(floor);
        now < self.assignment().expires && bundle.in_time(now).is_ok()
    }
}

/// Whether an assignment is for this client, in time, and not older than the one in force.
///
/// `Ok(None)`: it is the one in force.
///
/// # Errors
/// The refusal to report.
pub fn check_assignment(
    envelope_bytes: &[u8],
    expected: Expected<'_>,
    in_force: Option<&Policy>,
    limits: &Limits,
) -> Result<Option<Verified<Assignment>>, PolicyRefusal> {
    if envelope_bytes.len() > limits.object_bytes {
        return Err(PolicyRefusal::TooLarge);
    }
    let assignment =
        envelope::open1_json::<Assignment>(envelope_bytes, |id| expected.bundle.policy_key(id)).map_err(|error| {
            match error {
                EnvelopeError::Malformed => PolicyRefusal::Malformed,
                _ => PolicyRefusal::SignatureInvalid,
            }
        })?;
    let value = assignment.value();
    if value.site != expected.identity.site {
        return Err(PolicyRefusal::ForeignSite);
    }
    if value.recipient != expected.recipient {
        return Err(PolicyRefusal::ForeignDevice);
    }
    // Before the numbers are compared: a newer bundle may say that those of a stolen key do not count.
    if value.trust_version > expected.bundle.version {
        return Err(PolicyRefusal::TrustTooOld);
    }
    if value.version < expected.least_version {
        return Err(PolicyRefusal::Older);
    }
    if let Some(in_force) = in_force {
        if value.version < in_force.assignment().version {
            return Err(PolicyRefusal::Older);
        }
        if value.version == in_force.assignment().version {
            return if sha256(envelope_bytes) == in_force.digest { Ok(None) } else { Err(PolicyRefusal::Fork) };
        }
    }
    let not_yet = value.issued > expected.now.plus(AHEAD);
    // A stolen policy key must not sign one that outlives every bundle.
    let lives = 1..=ASSIGNMENT_LIFETIME;
    let in_limits = lives.contains(&value.expires.since(value.issued));
    if not_yet || !in_limits || expected.now.max(expected.floor) >= value.expires {
        return Err(PolicyRefusal::Expired);
    }
    if expected.bundle.in_time(expected.now.max(expected.floor)).is_err() {
        return Err(PolicyRefusal::TrustTooOld);
    }
    Ok(Some(assignment))
}

/// Whether an envelope is the empty policy of a request that waits for approval.
///
/// # Errors
/// The reason why not.
pub fn check_empty(
    envelope_bytes: &[u8],
    bundle: &TrustBundle,
    identity: &Identity,
    enrolment: EnrolmentId,
    now: UnixMillis,
) -> Result<(), PolicyRefusal> {
    let recipient = Recipient::Enrolment(enrolment);
    let expected = Expected { bundle, identity, recipient, now, floor: UnixMillis(0), least_version: 0 };
    match check_assignment(envelope_bytes, expected, None, &Limits::default())? {
        Some(assignment) if assignment.value().bodies.is_empty() => Ok(()),
        _ => Err(PolicyRefusal::Malformed),
    }
}

/// Puts a policy together from an assignment and its bodies, which were fetched or read from disk.
///
/// # Errors
/// The refusal to report: a body that is missing, altered, or not what its kind says.
pub fn assemble(
    assignment: Verified<Assignment>,
    envelope_bytes: &[u8],
    bundle: &TrustBundle,
    bodies: &BTreeMap<Hash, Vec<u8>>,
) -> Result<Policy, PolicyRefusal> {
    let (mut settings, mut location, mut deployments) = (None, None, Vec::<(Hash, DeploymentPolicy)>::new());
    let mut approvals = Vec::new();
    let (mut applications, mut secrets, mut windows, mut log_request) = (BTreeMap::new(), Vec::new(), None, None);
    let (mut objects, mut held, mut unread) = (BTreeMap::new(), Vec::<BaselinePolicy>::new(), Vec::new());
    for reference in &assignment.value().bodies {
        let body = bodies.get(&reference.hash).ok_or(PolicyRefusal::BodyMissing)?;
        check_body(reference, body)?;
        match reference.kind {
            BodyKind::Settings if settings.is_some() => return Err(PolicyRefusal::Malformed),
            BodyKind::Settings => settings = Some(read_settings(body)?),
            BodyKind::Deployment => match read::<DeploymentPolicy, _>(body)? {
                // Two of one name would overwrite what is kept of each other.
                Read::Whole(policy) if deployments.iter().any(|(_, of)| of.deployment == policy.deployment) => {
                    return Err(PolicyRefusal::Malformed);
                }
                Read::Whole(policy) => deployments.push((approvable(reference.hash, &policy)?, policy)),
                Read::Newer(policy) => unread.push(policy),
            },
            BodyKind::DeploymentApproval => approvals.push(body.as_slice()),
            BodyKind::Location if location.is_some() => return Err(PolicyRefusal::Malformed),
            // Only a hint: whoever answers proves itself anyway, so that without one it goes on as well.
            BodyKind::Location => location = read_location(body)?,
            BodyKind::Windows if windows.is_some() => return Err(PolicyRefusal::Malformed),
            // What this client cannot keep to it must not go without: the last good policy stays in force.
            BodyKind::Windows => {
                let parsed = Some(parse::<WindowPolicy>(body)?).filter(WindowPolicy::is_sound);
                windows = Some(parsed.ok_or(PolicyRefusal::Malformed)?);
            }
            BodyKind::Application => {
                applications.insert(reference.hash, believe(body, bundle));
            }
            BodyKind::Baseline => {
                objects.insert(reference.hash, believe_baseline(body, bundle));
            }
            BodyKind::BaselineDeployment => {
                let policy: BaselinePolicy = match read(body)? {
                    Read::Whole(policy) => policy,
                    Read::Newer(NewerBaseline { deployment }) => {
                        tracing::warn!(%deployment, "the site says more of a baseline than this client understands; it is not evaluated");
                        continue;
                    }
                };
                // Two of one name would keep each other from ever being done.
                if held.iter().any(|of| of.deployment == policy.deployment) {
                    return Err(PolicyRefusal::Malformed);
                }
                held.push(policy);
            }
            BodyKind::LogRequest => log_request = serde_json::from_slice(body).ok(),
            BodyKind::Secret => secrets.extend(believe_secret(body, bundle, assignment.value())),
        }
    }
    let deployments = deployments.into_iter().map(|(order, policy)| {
        let of = |hash: &Hash| applications.get(hash).ok_or(PolicyRefusal::Malformed).cloned();
        let application = of(&policy.application)?;
        if policy.related.len() > RELATED_APPLICATIONS {
            return Err(PolicyRefusal::TooLarge);
        }
        let mut related = Vec::new();
        for hash in &policy.related {
            related.extend(of(hash)?.map(|application| Related::new(*hash, application)));
        }
        let mut authors = application.iter().flat_map(|of| of.signers()).copied().collect::<Vec<_>>();
        authors.extend(related.iter().flat_map(|of| of.signers()));
        let site = assignment.value().site;
        let order = Order { site, deployment: policy.deployment, hash: order, authors: &authors };
        let mut opened = approvals.iter().filter_map(|signed| deployment_approval::open(signed, bundle, &order).ok());
        // One for a single device is not for others. Who is in a collection, the site knows.
        let approval = opened.find(|approval| match approval.value().target {
            Target::Device { device } => Recipient::Device(device) == assignment.value().recipient,
            Target::AllSystems | Target::Collection { .. } => true,
        });
        let types = application.as_ref().map(|application| several(application.value())).unwrap_or_default();
        Ok(Deployment { policy, application, types, related, approval })
    });
    let deployments = deployments.collect::<Result<_, _>>()?;
    let baselines = held.into_iter().map(|policy| {
        let baseline = objects.get(&policy.baseline).ok_or(PolicyRefusal::Malformed)?.clone();
        Ok(BaselineDeployment { policy, baseline })
    });
    let baselines = baselines.collect::<Result<_, _>>()?;
    Ok(Policy {
        assignment,
        digest: sha256(envelope_bytes),
        settings: settings.unwrap_or_default(),
        location,
        windows,
        log_request,
        deployments,
        unread,
        baselines,
        secrets,
    })
}

/// Whether these are the bytes that the reference names.
///
/// # Errors
/// [`PolicyRefusal::BodyAltered`].
pub fn check_body(reference: &BodyRef, body: &[u8]) -> Result<(), PolicyRefusal> {
    if body.len() as u64 != reference.size || sha256(body) != reference.hash {
        return Err(PolicyRefusal::BodyAltered);
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, PolicyRefusal> {
    serde_json::from_slice(body).map_err(|_| PolicyRefusal::Malformed)
}

/// A body of one thing among several.
enum Read<T, N> {
    /// Every word of it is understood.
    Whole(T),
    /// It is sound, and a newer site says more in it: what it is of, and no more.
    Newer(N),
}

/// A baseline of which more is said than this client understands.
#[derive(serde::Deserialize)]
struct NewerBaseline {
    deployment: DeploymentId,
}

/// The hash that an approval names: that of the deployment as it was before anybody asked that it be tried again.
fn approvable(hash: Hash, policy: &DeploymentPolicy) -> Result<Hash, PolicyRefusal> {
    if policy.attempt == 0 {
        return Ok(hash);
    }
    let first = DeploymentPolicy { attempt: 0, ..policy.clone() };
    serde_json::to_vec(&first).map(|bytes| muster_trust::sha256(&bytes)).map_err(|_| PolicyRefusal::Malformed)
}

/// A word that is not understood may be a limit: what has one is passed over as a whole, and keeps nothing else from holding.
fn read<T: DeserializeOwned, N: DeserializeOwned>(body: &[u8]) -> Result<Read<T, N>, PolicyRefusal> {
    match parse(body) {
        Ok(whole) => Ok(Read::Whole(whole)),
        Err(_) => parse(body).map(Read::Newer),
    }
}

fn read_location(body: &[u8]) -> Result<Option<LocationPolicy>, PolicyRefusal> {
    Ok(match read::<LocationPolicy, serde_json::Map<String, serde_json::Value>>(body)? {
        Read::Whole(location) => Some(location),
        Read::Newer(_) => {
            tracing::warn!(
                "the site says more of its management points than this client understands; it uses them in no order"
            );
            None
        }
    })
}

/// Settings inside of what this client accepts, whatever the site says.
fn read_settings(body: &[u8]) -> Result<ClientSettings, PolicyRefusal> {
    let (settings, unknown) = ClientSettings::from_body(body).ok_or(PolicyRefusal::Malformed)?;
    if !unknown.is_empty() {
        tracing::warn!(?unknown, "the site sets what this client does not know; the rest of its settings holds");
    }
    Ok(settings)
}

/// An application is believed for the signatures of its authors, whoever delivered it.
fn believe(object: &[u8], bundle: &TrustBundle) -> Option<Verified<Application>> {
    let opened = envelope::open_json::<Application>(object, bundle.author_threshold(), |id| bundle.author_key(id));
    opened.ok().filter(|application| application.value().check_form().is_ok())
}

/// As [`believe`], for baselines.
fn believe_baseline(object: &[u8], bundle: &TrustBundle) -> Option<Verified<Baseline>> {
    let opened = envelope::open_json::<Baseline>(object, bundle.author_threshold(), |id| bundle.author_key(id));
    opened.ok().filter(|baseline| baseline.value().check().is_ok())
}

/// A secret counts where its authors are believed and it is for this very device. Anything else is as if it were not there.
fn believe_secret(object: &[u8], bundle: &TrustBundle, assignment: &Assignment) -> Option<SealedSecret> {
    let opened = envelope::open_json::<SealedSecret>(object, bundle.author_threshold(), |id| bundle.author_key(id));
    let secret = opened.ok()?.into_value();
    let ours =
        secret.binding.site == assignment.site && Recipient::Device(secret.binding.device) == assignment.recipient;
    if !ours {
        tracing::warn!(device = %secret.binding.device, "the policy lists a secret for another device");
    }
    ours.then_some(secret)
}

/// Keeps a policy: the bodies first, then the assignment, which makes it the one in force; then what is no longer named goes.
///
/// # Errors
/// When the disk refuses; the old policy is still in force then.
pub fn store(
    directory: &PrivateDirectory,
    policy: &Policy,
    envelope_bytes: &[u8],
    bodies: &BTreeMap<Hash, Vec<u8>>,
) -> io::Result<()> {
    for reference in &policy.assignment().bodies {
        let name = reference.hash.to_string();
        let kept = directory.read(&name, body_limit(reference)).ok().flatten();
        if let Some(body) = bodies.get(&reference.hash).filter(|body| kept.as_ref() != Some(*body)) {
            directory.write(&name, body)?;
        }
    }
    directory.write(ASSIGNMENT, envelope_bytes)?;
    for name in directory.names()? {
        let named = policy.assignment().bodies.iter().any(|reference| reference.hash.to_string() == name);
        if !named && name != ASSIGNMENT {
            directory.remove(&name)?;
        }
    }
    Ok(())
}

fn body_limit(reference: &BodyRef) -> usize {
    usize::try_from(reference.size).unwrap_or(0).min(Limits::default().object_bytes)
}

/// A body that was kept, if it has the bytes that the reference names.
#[must_use]
pub fn kept_body(directory: &PrivateDirectory, reference: &BodyRef) -> Option<Vec<u8>> {
    let body = directory.read(&reference.hash.to_string(), body_limit(reference)).ok().flatten()?;
    check_body(reference, &body).ok().map(|()| body)
}

/// The assignment in force as it was signed, where there is one.
#[must_use]
pub fn kept_assignment(directory: &PrivateDirectory, policy: &Policy) -> Option<Vec<u8>> {
    let kept = directory.read(ASSIGNMENT, Limits::default().object_bytes).ok().flatten()?;
    (sha256(&kept) == policy.digest).then_some(kept)
}

/// Throws away what was kept: nobody who is believed signed it.
///
/// # Errors
/// When the disk refuses. What is left does not verify at the next start either.
pub fn forget(directory: &PrivateDirectory) -> io::Result<()> {
    directory.remove(ASSIGNMENT)
}

/// The policy in force, verified again. `None`: there is none, or what is kept does not verify any more.
#[must_use]
pub fn load(
    directory: &PrivateDirectory,
    bundle: &TrustBundle,
    identity: &Identity,
    recipient: Recipient,
    clock: &Clock,
) -> Option<Policy> {
    let envelope_bytes = directory.read(ASSIGNMENT, Limits::default().object_bytes).ok().flatten()?;
    // Its time was looked at when it came; whether it is still current is asked before anything new is started.
    let opened = envelope::open1_json::<Assignment>(&envelope_bytes, |id| bundle.policy_key(id)).ok()?;
    if opened.value().site != identity.site || opened.value().recipient != recipient {
        return None;
    }
    let bodies = opened.value().bodies.iter().filter_map(|r| Some((r.hash, kept_body(directory, r)?))).collect();
    match assemble(opened, &envelope_bytes, bundle, &bodies) {
        Ok(policy) => Some(policy),
        Err(refusal) => {
            let now = clock.now().0;
            tracing::warn!(reason = refusal.as_str(), now, "the policy on disk is not sound; a new one is fetched");
            None
        }
    }
}
