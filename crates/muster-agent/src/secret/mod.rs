//! Secrets that authors sealed for this device: opened only when an installation needs them, handed to it in memory-backed files.
//!
//! A sealing key is used for what was sealed before the site heard of the next one. When nothing is sealed to it any more it is
//! destroyed, and with it whatever copy of the old ciphertext there is, in a backup or in a wire's recording.

pub mod keys;

use crate::{
    agent::Agent,
    clock::{Backoff, random, spread},
    http::HttpError,
    os::process::printable,
    policy::Policy,
    site::SiteError,
    store::StoreError,
};
use keys::SealingKey;
use muster_model::{
    application::{Application, FileName},
    id::{ApplicationId, DeviceId, Hash},
    problem::Code,
    secret::{SECRET_BYTES, SealedSecret, SealingKey as Statement},
    time::{DAY, HOUR, UnixMillis},
};
use muster_trust::{
    envelope::{self, EnvelopeError},
    secret::{SecretError, statement_key},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;
use zeroize::Zeroizing;

/// How often is looked whether a key can go.
const LOOK: Duration = Duration::from_secs(900);
/// How long a key that nothing is sealed to stays: somebody may be sealing to it right now.
const GRACE: i64 = HOUR;
/// How far a key's time may be ahead.
const AHEAD: i64 = DAY;
/// What stands in the place of a secret in what an installer printed.
const REDACTED: &str = "[secret]";
/// The shortest line of a secret that is looked for in an installer's output. A shorter one is found everywhere.
const REDACTED_FROM: usize = 4;

/// Why a secret is not there.
#[derive(Debug, thiserror::Error)]
pub enum Missing {
    /// None was sealed for this device.
    #[error("the secret {0} is not sealed for this device yet; `muster secret seal` does that")]
    Unsealed(String),
    /// It was, and is not the newest.
    #[error("the site offers an older secret {0} than this device had before")]
    Older(String),
    /// It cannot be opened.
    #[error("the secret {0} cannot be opened ({1}); seal it again with `muster secret seal`")]
    Closed(String, SecretError),
    /// The agent's own store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The agent's own disk.
    #[error("the sealing keys cannot be read: {0}")]
    Io(#[from] io::Error),
    /// This is not a client.
    #[error(transparent)]
    Site(#[from] SiteError),
}

/// Why the sealing keys are not in order.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TendError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Site(#[from] SiteError),
    #[error("a sealing key could not be signed: {0}")]
    Sign(#[from] EnvelopeError),
    #[error("the sealing keys cannot be kept: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A secret in the clear, under its name. Wiped when dropped.
pub type Opened = Vec<(FileName, Zeroizing<Vec<u8>>)>;

/// The version below which a secret is not taken any more.
fn floor(agent: &Agent, application: ApplicationId, name: &FileName) -> Result<UnixMillis, StoreError> {
    let kept = agent.store.value(&floor_name(application, name))?;
    Ok(UnixMillis(kept.and_then(|text| text.parse().ok()).unwrap_or(i64::MIN)))
}

fn floor_name(application: ApplicationId, name: &FileName) -> String {
    format!("secret {application} {}", name.as_str())
}

/// The secrets of a policy that count: of each name the newest, where it is not older than one that the device had. From now on nothing
/// older does, whether or not an installer ever asked for it.
fn current(agent: &Agent, policy: &Policy) -> Result<Vec<SealedSecret>, StoreError> {
    let mut newest: BTreeMap<(String, &str), &SealedSecret> = BTreeMap::new();
    for sealed in policy.secrets() {
        let name = (sealed.binding.application.to_string(), sealed.binding.name.as_str());
        let known = newest.entry(name).or_insert(sealed);
        if known.binding.version < sealed.binding.version {
            *known = sealed;
        }
    }
    let mut current = Vec::new();
    for sealed in newest.into_values() {
        let (application, name, version) = (sealed.binding.application, &sealed.binding.name, sealed.binding.version);
        let before = floor(agent, application, name)?;
        if version > before {
            agent.store.set_value(&floor_name(application, name), &version.0.to_string())?;
        }
        if version >= before {
            current.push(sealed.clone());
        }
    }
    Ok(current)
}

/// Opens what an application wants.
///
/// # Errors
/// The first that is missing.
pub fn open(agent: &Agent, policy: &Policy, application: &Application) -> Result<Opened, Missing> {
    if application.secrets.is_empty() {
        return Ok(Vec::new());
    }
    let keys = keys::all(&agent.sealing, agent.site.device()?)?;
    let current = current(agent, policy)?;
    let open = |name: &FileName| {
        let text = || name.as_str().to_owned();
        let ours =
            |sealed: &&SealedSecret| sealed.binding.application == application.id && sealed.binding.name == *name;
        let Some(sealed) = current.iter().find(ours) else {
            let older = policy.secrets().iter().any(|sealed| ours(&sealed));
            return Err(if older { Missing::Older(text()) } else { Missing::Unsealed(text()) });
        };
        let key = keys.iter().find(|key| key.id() == sealed.key);
        let key = key.ok_or_else(|| Missing::Closed(text(), SecretError::OtherKey))?;
        let value = key.key.open(sealed).map_err(|error| Missing::Closed(text(), error))?;
        Ok((name.clone(), value))
    };
    application.secrets.iter().map(open).collect()
}

/// What stands in the place of a byte of a secret until all of them are found. Output has no control characters.
const MASK: &str = "\u{1}";

/// An installer's output without the secrets that it was given, at most `limit` bytes of it. `cut`: there was more before, so a secret may
/// begin in what is not there; the text has [`SECRET_BYTES`] more than is told, for that.
#[must_use]
pub fn redact(output: String, cut: bool, limit: usize, secrets: &Opened) -> String {
    if secrets.is_empty() {
        return output;
    }
    let values = secrets.iter().filter_map(|(_, value)| std::str::from_utf8(value).ok().map(printable));
    let mut lines: Vec<String> =
        values.flat_map(|value| value.lines().map(|l| l.trim().to_owned()).collect::<Vec<_>>()).collect();
    lines.retain(|line| line.len() >= REDACTED_FROM);
    lines.sort_by_key(|line| std::cmp::Reverse(line.len()));
    let masked = lines.iter().fold(output, |text, line| text.replace(line, &MASK.repeat(line.len())));
    let doubtful = if cut { SECRET_BYTES } else { 0 };
    let mut from = masked.len().saturating_sub(limit).max(doubtful).min(masked.len());
    while !masked.is_char_boundary(from) {
        from += 1;
    }
    let mut told = String::new();
    for c in masked[from..].chars() {
        if c != '\u{1}' {
            told.push(c);
        } else if !told.ends_with(REDACTED) {
            told.push_str(REDACTED);
        }
    }
    told.trim().to_owned()
}

/// Keeps the sealing keys in order until the task is ended.
pub async fn run(agent: Arc<Agent>, mut policy: watch::Receiver<Option<Arc<Policy>>>) {
    let mut backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(1_800));
    loop {
        let current = policy.borrow_and_update().clone();
        let wait = match tend(&agent, current.as_deref()).await {
            Ok(()) => {
                backoff.reset();
                spread(LOOK, random())
            }
            Err(error) => {
                tracing::warn!(%error, "the site does not have this device's newest sealing key yet");
                backoff.next(random())
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            changed = policy.changed() => if changed.is_err() { return },
        }
    }
}

/// One look: a fresh key where the newest is in use, told to the site; keys that nothing is sealed to destroyed.
///
/// # Errors
/// See [`TendError`].
pub(crate) async fn tend(agent: &Agent, policy: Option<&Policy>) -> Result<(), TendError> {
    let (now, device) = (agent.clock.now(), agent.site.device()?);
    let mut keys = keys::all(&agent.sealing, device)?;
    // Made by a clock that was wrong: the site takes none from the future.
    for key in keys.extract_if(.., |key| key.told.is_none() && key.made > now.plus(AHEAD)) {
        keys::destroy(&agent.sealing, &key)?;
    }
    let current = policy.map(|policy| current(agent, policy)).transpose()?;
    let used: BTreeSet<Hash> = current.iter().flatten().map(|secret| secret.key).collect();
    if current.is_some() {
        destroy_unused(agent, &mut keys, &used, now)?;
    }
    if keys.last().is_none_or(|key| used.contains(&key.id())) {
        // Later than the one before, also when the clock went back.
        let made = keys.last().map_or(now, |key| now.max(key.made.plus(1)));
        keys.push(keys::make(&agent.sealing, made)?);
    }
    let lost = used.iter().any(|id| keys.iter().all(|key| key.id() != *id));
    let Some(newest) = keys.pop() else { return Ok(()) };
    // Now and then again: the site may have been restored from a backup, and let authors seal to a key that is gone.
    let again = if lost { HOUR } else { DAY };
    if newest.told.is_none_or(|told| !(0..again).contains(&now.since(told))) {
        tell(agent, newest, device).await?;
    }
    Ok(())
}

/// A key goes when nothing is sealed to it, and the site has known a later one for so long that nobody can be sealing to it now.
fn destroy_unused(
    agent: &Agent,
    keys: &mut Vec<SealingKey>,
    used: &BTreeSet<Hash>,
    now: UnixMillis,
) -> Result<(), TendError> {
    let settled = |key: &SealingKey| key.told.is_some_and(|told| now.since(told) > GRACE);
    let Some(known) = keys.iter().rposition(settled) else { return Ok(()) };
    let unused: Vec<Hash> = keys[..known].iter().map(SealingKey::id).filter(|id| !used.contains(id)).collect();
    for key in keys.extract_if(.., |key| unused.contains(&key.id())) {
        keys::destroy(&agent.sealing, &key)?;
        tracing::info!(key = %key.id(), "a sealing key to which nothing is sealed any more was destroyed");
    }
    Ok(())
}

/// Tells the site the newest key. Where the site knows a later one, this state directory is an old copy: the key makes way for a new one.
async fn tell(agent: &Agent, newest: SealingKey, device: DeviceId) -> Result<(), TendError> {
    let mut session = agent.site.session().await?;
    let first = session.sealing_key(statement(agent, &newest)?).await;
    let newest = match first {
        Err(error) if error.problem().is_some_and(|problem| problem.code == Code::Conflict) => {
            let again = keys::make(&agent.sealing, agent.clock.now().max(newest.made.plus(1)))?;
            keys::destroy(&agent.sealing, &newest)?;
            session.sealing_key(statement(agent, &again)?).await?;
            again
        }
        other => {
            other?;
            newest
        }
    };
    Ok(keys::told(&agent.sealing, &newest, device, agent.clock.now())?)
}

fn statement(agent: &Agent, key: &SealingKey) -> Result<Vec<u8>, TendError> {
    let (site, device) = (agent.site.identity().site, agent.site.device()?);
    let said = Statement { site, device, key: statement_key(key.key.public()), made: key.made };
    Ok(envelope::sign1_json(&agent.site.key, &said)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installer_that_prints_its_secret_does_not_tell_it_to_the_site() {
        let secrets = vec![
            ("a".parse().unwrap(), Zeroizing::new(b"correct horse\n".to_vec())),
            ("b".parse().unwrap(), Zeroizing::new(b"abc".to_vec())),
            ("c".parse().unwrap(), Zeroizing::new(vec![0xff; 8])),
        ];
        let said = redact("key=correct horse; again correct horse; abc".to_owned(), false, 1_000, &secrets);
        assert_eq!(said, "key=[secret]; again [secret]; abc");

        // As it comes out of the tail of an output: without control characters, and cut anywhere.
        let pem = vec![("k".parse().unwrap(), Zeroizing::new(b"-----BEGIN-----\r\nAAAA\tBBBB\r\nCCCC\r\n".to_vec()))];
        let printed = printable("x -----BEGIN-----\r\nAAAA\tBBBB\r\nCCCC\r\n y");
        assert_eq!(redact(printed, false, 1_000, &pem), "x [secret]\n[secret]\n[secret]\n y");
        let rest = format!("orse{}the end", "z".repeat(SECRET_BYTES));
        let said = redact(rest, true, 1_000, &secrets);
        assert!(said.ends_with("the end") && !said.contains("orse"), "{said}");
        assert!(redact("z".repeat(5_000), false, 1_000, &secrets).len() == 1_000);
    }
}
