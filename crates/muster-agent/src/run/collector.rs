//! Collectors: programs of signed applications that say rows of an administrator's class. They are run with each inventory, when their
//! deployment has succeeded, and never because the site alone wants it: the application is believed for its authors' signatures. They have
//! no privileges, unless their authors signed that they need root's.

use crate::{
    agent::Agent,
    apply::{self, arguments},
    content, identity,
    os::{
        Workplace,
        account::{self, Account},
        process::{self, Ending, Job, Output, Tail},
    },
    policy::{Deployment, Policy},
    script,
};
use muster_model::{
    application::{Application, Collector, Platform, Privilege},
    catalogue::Class,
    inventory::Row,
    limits::COLLECTOR_BYTES,
    status::DeploymentState,
};
use serde::Deserialize;
use std::{collections::BTreeSet, io, sync::Arc, time::Duration};

/// What a collector said, or why nothing of it is taken.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) class: Arc<Class>,
    pub(crate) rows: Result<Vec<Row>, String>,
}

/// One row, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Rows {
    Many(Vec<Row>),
    One(Row),
}

/// Runs every collector whose deployment has succeeded here, one after the other.
pub(super) async fn collect(agent: &Agent, policy: &Policy) -> Vec<Said> {
    let mut said: Vec<Said> = Vec::new();
    if !policy.is_current(agent.site.trust().bundle(), agent.clock.now(), agent.floor()) {
        return said;
    }
    for deployment in policy.deployments() {
        let Some((application, collector)) = ready(agent, deployment) else { continue };
        let Ok(class) = collector.class.class() else { continue };
        let rows = match said.iter().any(|other| other.class.name == class.name) {
            true => Err("Two collectors are deployed for this class; the first one counts.".to_owned()),
            false => run(agent, policy, deployment, application, collector, &class).await,
        };
        said.push(Said { class: Arc::new(class), rows });
    }
    said
}

fn ready<'a>(agent: &Agent, deployment: &'a Deployment) -> Option<(&'a Application, &'a Collector)> {
    let application = deployment.application()?.value();
    let collector = application.collector.as_ref()?;
    let progress = agent.store.deployment(deployment.policy().deployment).ok().flatten()?;
    // An approval that ended, or that is missing, lets nothing more be begun.
    if apply::refusal(agent, deployment).is_some() {
        return None;
    }
    // What succeeded may have been a removal.
    let is_here = deployment.policy().action.is_install()
        && progress.state == DeploymentState::Succeeded
        && progress.application == deployment.policy().application;
    // Its files are those of the deployment type that was installed.
    let installed = deployment.types().get(progress.own_type.unwrap_or(0))?;
    (is_here && installed.platform == Platform::Linux).then_some((installed, collector))
}

async fn run(
    agent: &Agent,
    policy: &Policy,
    deployment: &Deployment,
    application: &Application,
    collector: &Collector,
    class: &Class,
) -> Result<Vec<Row>, String> {
    let id = deployment.policy().deployment;
    let (place, pipe) = (format!("{id}.collect"), format!("{id}.collected"));
    content::fetch(agent, policy, &application.content)
        .await
        .map_err(|error| format!("The collector's content is not there: {error}."))?;
    let failed = |error: io::Error| format!("The collector cannot be started: {error}.");
    let fresh = || -> io::Result<(Workplace, Output)> {
        let user = user(agent, collector.privilege)?;
        let workplace = Workplace::open(&agent.runs, agent.directory.path(), &place, user)?;
        let output = Output::open(&agent.runs, &pipe, true)?;
        if let Some(user) = user {
            output.lend(user)?;
        }
        Ok((workplace, output))
    };
    let (workplace, mut output) = fresh().map_err(failed)?;
    // Not that of the installation: what that left running is the application, and goes on.
    let mark = format!("{place} {}", agent.runs.path().display());
    // One that was running when the agent ended is not waited for.
    process::end_everything(&mark, None);
    let text = out(agent, (policy, deployment), (application, collector), &workplace, &mut output, &mark).await;
    // What it left running could change what the next one of its user says.
    process::end_everything(&mark, None);
    let cleaned = workplace.remove(&agent.runs).and_then(|()| agent.runs.remove(&pipe));
    if let Err(error) = cleaned {
        tracing::warn!(%error, "what a collector left could not be removed");
    }
    read(class, &text?, agent)
}

/// As whom it runs: a user without privileges, where the agent can become one and the authors did not sign that it needs more.
fn user(agent: &Agent, privilege: Privilege) -> io::Result<Option<Account>> {
    if privilege == Privilege::Root || !crate::os::is_root() {
        return Ok(None);
    }
    let config = identity::config(&agent.directory).map_err(io::Error::other)?;
    account::unprivileged(&config.collector_user).map(Some)
}

/// What the collector printed.
async fn out(
    agent: &Agent,
    (policy, deployment): (&Policy, &Deployment),
    (application, collector): (&Application, &Collector),
    workplace: &Workplace,
    output: &mut Output,
    mark: &str,
) -> Result<String, String> {
    let directory = &workplace.directory;
    // Each file is checked once more as it is taken out, and what runs is that copy.
    for file in &application.content {
        content::take_out(&agent.cache, file, directory, agent.clock.now())
            .await
            .map_err(|error| format!("The collector's content is not there: {error}."))?;
    }
    workplace.lend().map_err(|error| format!("The collector cannot be started: {error}."))?;
    let mut tail = Tail::new(COLLECTOR_BYTES);
    let (program, arguments) = arguments(&collector.command, directory.path(), None);
    let refused = apply::scripts_refused(agent, policy, deployment);
    let refused = refused.into_iter().find(|(hash, _)| *hash == deployment.policy().application);
    if let Some((_, why)) = refused.filter(|_| script::is_script(&program, &arguments, directory.path())) {
        return Err(why);
    }
    let limit = Duration::from_secs(u64::from(collector.max_run_seconds));
    let job = Job {
        program,
        arguments,
        directory: directory.path(),
        user: workplace.user(),
        mark,
        limit,
        stdin: None,
        environment: Vec::new(),
    };
    match process::run(job, Some((output, &mut tail))).await {
        Ending::Exit(Some(code)) if collector.command.success_codes.contains(&code) => {}
        Ending::Exit(Some(code)) => return Err(format!("The collector ended with code {code}.")),
        Ending::Exit(None) => return Err("The collector was ended by a signal.".to_owned()),
        Ending::TimedOut => {
            return Err(format!("The collector ran for more than {} seconds.", collector.max_run_seconds));
        }
        Ending::NotStarted(error) => return Err(format!("The collector cannot be started: {error}.")),
    }
    if tail.was_cut() {
        return Err(format!("The collector printed more than {COLLECTOR_BYTES} bytes."));
    }
    Ok(tail.into_text())
}

/// The rows in a text: all of them obey the class, or none is taken.
fn read(class: &Class, text: &str, agent: &Agent) -> Result<Vec<Row>, String> {
    let rows = match serde_json::from_str(text) {
        Ok(Rows::Many(rows)) => rows,
        Ok(Rows::One(row)) => vec![row],
        Err(error) => return Err(format!("What the collector printed is not a list of rows in JSON: {error}.")),
    };
    if rows.len() > agent.limits.section_rows {
        return Err(format!("The collector printed more than {} rows.", agent.limits.section_rows));
    }
    let mut keys = BTreeSet::new();
    for row in &rows {
        class.check(row, &agent.limits).map_err(|error| format!("A row of the collector is not taken: {error}."))?;
        if !keys.insert(crate::collect::diff::key_of(class, row)) {
            return Err("Two rows of the collector have the same key.".to_owned());
        }
    }
    Ok(rows)
}
