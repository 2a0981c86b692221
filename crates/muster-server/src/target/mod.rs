//! Targets: where status filter rules and subscriptions send. It connects to what a file of the machine names, and to nothing else; no word of a
//! device or of an administrator of the site is an address, an argument or a header.

mod file;
mod mail;
mod program;
#[cfg(test)]
mod tests;
mod webhook;

use crate::listen::Stop;
use file::TargetFile;
use mail::Mail;
use muster_model::{api::StatusTarget, id::Name};
use muster_site::{Ctx, Sending, Site, SiteError};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{task::JoinHandle, time::timeout};

/// Time between two looks at what is due, where nothing says that there is something.
const LOOK: Duration = Duration::from_secs(5);
/// How long one try may take, whatever the target does.
const WHOLE: Duration = Duration::from_secs(90);
/// What is sent to a target before others are looked at.
const PIECE: usize = 50;

/// The targets that the server knows, by the files about them.
#[derive(Debug, Clone)]
pub struct Targets {
    dir: PathBuf,
}

impl Targets {
    /// Those that files in `dir` describe. They are read at each try.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    fn known(&self) -> Vec<StatusTarget> {
        file::all(&self.dir)
    }

    /// Sends what is due for a target, until one try fails; how many went.
    ///
    /// # Errors
    /// When the store fails. What fails at the target is noted, and tried again later.
    async fn send_all(&self, site: &Site, target: &Name) -> Result<usize, SiteError> {
        for sent in 0..PIECE {
            let Some(sending) = muster_site::status_action_claim(&ctx(site), site, target).await? else {
                return Ok(sent);
            };
            let outcome = match timeout(WHOLE, self.send(site, target, &sending)).await {
                Ok(outcome) => outcome,
                Err(_) => Err("it took longer than it may".to_owned()),
            };
            let failed = outcome.is_err();
            if let Err(error) = &outcome {
                tracing::warn!(%target, action = %sending.id, error, "A target did not take a message; it is tried again.");
            }
            metrics::counter!("muster_status_actions_total", "outcome" => if failed { "failed" } else { "done" })
                .increment(1);
            muster_site::status_action_end(&ctx(site), site, &sending, outcome).await?;
            if failed {
                return Ok(sent);
            }
        }
        Ok(PIECE)
    }

    async fn send(&self, site: &Site, target: &Name, sending: &Sending) -> Result<String, String> {
        let dir = &self.dir;
        match TargetFile::read(dir, target)? {
            TargetFile::Webhook { url, authorities, secret_file } => {
                let (authorities, secret) =
                    (file::authorities(dir, &authorities)?, file::webhook_secret(dir, &secret_file)?);
                webhook::send(&url, &authorities, &secret, sending, site.sources.now()).await
            }
            TargetFile::Mail { server, authorities, from, to, user, password_file } => {
                let login = match (&user, &password_file) {
                    (Some(user), Some(password)) => Some((user.as_str(), file::secret(dir, password, 1)?)),
                    _ => None,
                };
                let authorities = file::authorities(dir, &authorities)?;
                mail::send(Mail { server: &server, authorities, from: &from, to: &to, login }, sending).await
            }
            TargetFile::Program { program, arguments, seconds } => {
                program::run(&program, &arguments, seconds, &sending.body).await
            }
        }
    }

    /// Sends what is due for as long as the server runs. Each target has a task of its own: one that hangs keeps no other waiting.
    pub(crate) async fn keep_sending(self, site: Arc<Site>, mut stop: Stop) {
        let mut under_way = UnderWay::default();
        loop {
            if let Err(error) = self.look(&site, &mut under_way).await {
                tracing::error!(%error, "What is to be sent could not be read; trying again.");
            }
            tokio::select! {
                () = stop.wait() => return,
                () = site.memory.send.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn look(&self, site: &Arc<Site>, under_way: &mut UnderWay) -> Result<(), SiteError> {
        muster_site::target_known(&ctx(site), site, self.known())?;
        under_way.0.retain(|_, task| !task.is_finished());
        for target in muster_site::status_action_due(&ctx(site), site).await? {
            under_way.0.entry(target.clone()).or_insert_with(|| {
                let (targets, site) = (self.clone(), site.clone());
                tokio::spawn(async move {
                    match targets.send_all(&site, &target).await {
                        // There may be more.
                        Ok(PIECE) => site.memory.send.notify_one(),
                        Ok(_) => {}
                        Err(error) => tracing::error!(%error, "A message could not be sent; trying again."),
                    }
                })
            });
        }
        Ok(())
    }
}

/// Targets to which something is being sent; it ends with whoever waits for it.
#[derive(Default)]
struct UnderWay(HashMap<Name, JoinHandle<()>>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.values().for_each(JoinHandle::abort);
    }
}

fn ctx(site: &Site) -> Ctx {
    Ctx::site(site.sources.now())
}
