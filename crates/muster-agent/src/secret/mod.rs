//! Secrets that authors sealed for this device: opened only when an installation needs them, handed to it in memory-backed files.
//!
//! A sealing key is used for what was sealed before the site heard of the next one. When nothing is sealed to it any more it is
//! destroyed, and with it whatever copy of the old ciphertext there is, in a backup or in a wire's recording.

pub mod keys;

use crate::{
    agent::Agent,
    clock::{Backoff, random, spread},
    http::HttpError,
    policy::Policy,
    site::SiteError,
    store::StoreError,
};
use keys::SealingKey;
use muster_model::{
    application::{Application, FileName},
    id::Hash,
    problem::Code,
    secret::SealingKey as Statement,
    time::{HOUR, UnixMillis},
};
use muster_trust::{
    envelope::{self, EnvelopeError},
    secret::{SecretError, statement_key},
};
use std::{collections::BTreeSet, io, sync::Arc, time::Duration};
use tokio::sync::watch;
use zeroize::Zeroizing;

/// How often is looked whether a key can go.
const LOOK: Duration = Duration::from_secs(900);
/// How long a key that nothing is sealed to stays: somebody may be sealing to it right now.
const GRACE: i64 = HOUR;
/// The shortest secret that is looked for in an installer's output. A shorter one is found everywhere.
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
}

/// A secret in the clear, under its name. Wiped when dropped.
pub type Opened = Vec<(FileName, Zeroizing<Vec<u8>>)>;

/// Opens what an application wants.
///
/// # Errors
/// The first that is missing.
pub fn open(agent: &Agent, policy: &Policy, application: &Application) -> Result<Opened, Missing> {
    if application.secrets.is_empty() {
        return Ok(Vec::new());
    }
    let keys = keys::all(&agent.sealing)?;
    let open = |name: &FileName| {
        let text = || name.as_str().to_owned();
        let ours =
            policy.secrets().iter().filter(|s| s.binding.application == application.id && s.binding.name == *name);
        let sealed = ours.max_by_key(|sealed| sealed.binding.version).ok_or_else(|| Missing::Unsealed(text()))?;
        let floor = format!("secret {} {}", application.id, name.as_str());
        let before = agent.store.value(&floor)?.and_then(|text| text.parse().ok()).unwrap_or(i64::MIN);
        if sealed.binding.version.0 < before {
            return Err(Missing::Older(text()));
        }
        let key = keys.iter().find(|key| key.id() == sealed.key);
        let key = key.ok_or_else(|| Missing::Closed(text(), SecretError::OtherKey))?;
        let value = key.key.open(sealed).map_err(|error| Missing::Closed(text(), error))?;
        if sealed.binding.version.0 > before {
            agent.store.set_value(&floor, &sealed.binding.version.0.to_string())?;
        }
        Ok((name.clone(), value))
    };
    application.secrets.iter().map(open).collect()
}

/// An installer's output without the secrets that it was given.
#[must_use]
pub fn redact(output: String, secrets: &Opened) -> String {
    let texts = secrets.iter().filter_map(|(_, value)| std::str::from_utf8(value).ok().map(str::trim));
    let long = texts.filter(|text| text.len() >= REDACTED_FROM && output.contains(text));
    let long: Vec<&str> = long.collect();
    long.into_iter().fold(output.clone(), |output, text| output.replace(text, "[secret]"))
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
    let used: BTreeSet<Hash> = policy.map(Policy::sealing_keys).unwrap_or_default();
    let now = agent.clock.now();
    let mut keys = keys::all(&agent.sealing)?;
    let newest = keys.last();
    if newest.is_none_or(|key| used.contains(&key.id())) {
        // Later than the one before, also when the clock went back.
        let made = newest.map_or(now, |key| now.max(key.made.plus(1)));
        keys.push(keys::make(&agent.sealing, made)?);
    }
    let Some(newest) = keys.pop() else { return Ok(()) };
    let told = match newest.told {
        Some(told) => told,
        None => tell(agent, newest).await?,
    };
    // Only a policy says what is in use; and what is being sealed now is sealed to the newest that the site knew.
    let settled = policy.is_some() && now.since(told) > GRACE;
    for key in keys.iter().filter(|key| settled && !used.contains(&key.id())) {
        keys::destroy(&agent.sealing, key)?;
        tracing::info!(key = %key.id(), "a sealing key to which nothing is sealed any more was destroyed");
    }
    Ok(())
}

/// Tells the site the newest key. Where the site knows a later one, this state directory is an old copy: the key makes way for a new one.
async fn tell(agent: &Agent, newest: SealingKey) -> Result<UnixMillis, TendError> {
    let mut session = agent.site.session().await?;
    let first = session.sealing_key(statement(agent, &newest)?).await;
    let newest = match first {
        Err(error) if error.problem().is_some_and(|problem| problem.code == Code::Conflict) => {
            let again = keys::make(&agent.sealing, agent.clock.now().max(newest.made.plus(1)))?;
            session.sealing_key(statement(agent, &again)?).await?;
            again
        }
        other => {
            other?;
            newest
        }
    };
    let now = agent.clock.now();
    keys::told(&agent.sealing, &newest, now)?;
    Ok(now)
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
        let said = redact("key=correct horse; again correct horse; abc".to_owned(), &secrets);
        assert_eq!(said, "key=[secret]; again [secret]; abc");
    }
}
