//! The steps, in order. Each looks first whether an earlier run did it already.

use crate::{
    Failed, now,
    place::{Memory, Place, free_ports},
    programs::{Programs, finish},
    sample,
    screen::Screen,
};
use muster_cli::{CliError, Client, files, output, profile::ProfileDir, watch};
use muster_model::{
    api::{DeploymentCreate, DeviceDetail, DeviceState, EnrolmentState, PageQuery, Target, TokenCreate},
    id::{DeviceId, Hash, TokenId},
    status::DeploymentState,
};
use std::{path::Path, time::Duration};
use tokio::time::{Instant, sleep};

/// How long a step may take that waits for somebody else.
const PATIENCE: Duration = Duration::from_secs(120);

/// All steps; what to print at the end.
pub(crate) async fn all(screen: &Screen, place: &Place, programs: &Programs) -> Result<String, Failed> {
    let mut memory = place.memory();
    screen.line(&format!("Muster in {}", place.shown.display()));
    screen.step("site", site(place)).await?;
    let (profile, client) = screen.step("server", server(place, programs)).await?;
    screen.step("this machine", enrol(place, programs, &client, &mut memory)).await?;
    let device = memory.device.ok_or_else(|| lost("this machine"))?;
    let detail = screen.step("inventory", inventory(&client, device)).await?;
    for unread in &detail.unread {
        screen.note(&format!("not read: {}: {}", unread.class, output::clean(&unread.reason)));
    }
    screen.step("sample application", application(place, &profile, &client, &mut memory)).await?;
    let application = memory.application.ok_or_else(|| lost("sample application"))?;
    screen.step("deployment", deployment(&client, device, application)).await?;
    let link = screen.step("console", console(place, &client)).await?;
    Ok(link.replace("{total}", &screen.total()).replace("{device}", &output::clean(&detail.device.name)))
}

fn lost(step: &str) -> Failed {
    Failed::Step { step: step.to_owned(), reason: "its result is missing".to_owned() }
}

/// `musterd init`, where there is no site yet.
async fn site(place: &Place) -> Result<(String, ()), String> {
    let dir = place.path("site").display().to_string();
    if place.path("site/musterd.toml").exists() {
        return Ok(("The site of an earlier run goes on".to_owned(), ()));
    }
    let ports = free_ports()?;
    let [management_point, enrolment, admin, revocation] = ports.map(|port| format!("127.0.0.1:{port}"));
    let user = std::env::var("USER").ok().filter(|user| !user.is_empty()).unwrap_or_else(|| "admin".to_owned());
    let arguments = [
        "init",
        "--dir",
        &dir,
        "--code",
        "QST",
        "--name",
        "Quickstart",
        "--admin-name",
        &user,
        "--unattended",
        "--listen-management-point",
        &management_point,
        "--listen-enrolment",
        &enrolment,
        "--listen-admin",
        &admin,
        "--listen-revocation",
        &revocation,
        "--host",
        "127.0.0.1",
    ];
    finish(place, "musterd", &arguments).await?;
    Ok(("A site was made: keys, trust bundle, database, first administrator".to_owned(), ()))
}

/// `musterd serve`, until the first administrator can sign in.
async fn server(place: &Place, programs: &Programs) -> Result<(String, (ProfileDir, Client)), CliError> {
    let dir = place.path("site").display().to_string();
    programs.start(place, "musterd", &["serve", "--dir", &dir]).await.map_err(CliError::Found)?;
    let profile = ProfileDir::read(&place.path("site/admin"), None)?;
    let end = Instant::now() + PATIENCE;
    loop {
        match profile.client(now()).await {
            Ok(client) => {
                let site = client.site_show().await?;
                let sentence = format!("musterd {} runs site {} on {}", site.version, site.code, site.database);
                return Ok((sentence, (profile, client)));
            }
            Err(error) if error.exit_code() == 3 && Instant::now() < end => sleep(Duration::from_millis(50)).await,
            Err(error) => return Err(error),
        }
    }
}

/// Token, agent, approval; or the agent of an earlier run.
async fn enrol(
    place: &Place,
    programs: &Programs,
    client: &Client,
    memory: &mut Memory,
) -> Result<(String, ()), CliError> {
    let state = place.path("agent").display().to_string();
    if let Some(device) = memory.device {
        let seen = client.device_show(device).await?.value.device;
        if seen.state != DeviceState::Active {
            return Err(CliError::Found(format!(
                "this machine is {} at the site; unblock it, or start anew with another --dir",
                seen.state
            )));
        }
        programs.start(place, "muster-agent", &["--state", &state, "run"]).await.map_err(CliError::Found)?;
        let online = || async { Ok(client.device_show(device).await?.value.device.online.then_some(())) };
        watch::until(client, Some(PATIENCE), "the connection of the agent", online).await?;
        return Ok((format!("muster-agent runs, and {} is online", output::clean(&seen.name)), ()));
    }
    let name = "quickstart".parse().map_err(|_| CliError::Usage("the token has no name".to_owned()))?;
    let token = client.token_create(&TokenCreate { name, valid_seconds: 3_600, serial: None }).await?;
    let file = place.path("token");
    files::write_private(&file, token.token.as_bytes(), false)?;
    let token_file = file.display().to_string();
    let mut arguments = vec!["--state", &state, "enrol", "--token", &token_file];
    if place.path("agent").exists() {
        // A run that was stopped in the middle: its request is forgotten, and nobody approves it.
        arguments.push("--again");
    }
    finish(place, "muster-agent", &arguments).await.map_err(CliError::Found)?;
    let name = approve(client, token.id, memory).await?;
    place.remember(memory).map_err(CliError::Found)?;
    let _ = std::fs::remove_file(&file);
    // Started after the approval, so that its first question is answered with a certificate.
    programs.start(place, "muster-agent", &["--state", &state, "run"]).await.map_err(CliError::Found)?;
    Ok((format!("{} asked to be enrolled with a token, and was approved", output::clean(&name)), ()))
}

/// Approves the one request that used this very token.
async fn approve(client: &Client, token: TokenId, memory: &mut Memory) -> Result<String, CliError> {
    let page = PageQuery { offset: 0, limit: 100 };
    let asked = || async {
        let list = client.enrolment_list(Some(EnrolmentState::Pending), &page).await?;
        Ok(list.items.into_iter().find(|request| request.token == token))
    };
    let request = watch::until(client, Some(PATIENCE), "the request of the agent", asked).await?;
    let device = client.enrolment_approve(request.id).await?;
    memory.device = Some(device.id);
    Ok(request.claims.host_name)
}

/// Waits for the first inventory.
async fn inventory(client: &Client, device: DeviceId) -> Result<(String, DeviceDetail), CliError> {
    let taken = || async {
        let detail = client.device_show(device).await?.value;
        Ok((detail.device.last_inventory.is_some() && !detail.classes.is_empty()).then_some(detail))
    };
    let detail = watch::until(client, Some(PATIENCE), "the first inventory", taken).await?;
    let rows: u64 = detail.classes.iter().map(|class| class.rows).sum();
    Ok((format!("{} classes of inventory with {rows} rows are at the site", detail.classes.len()), detail))
}

/// Signs and adds the sample.
async fn application(
    place: &Place,
    profile: &ProfileDir,
    client: &Client,
    memory: &mut Memory,
) -> Result<(String, ()), CliError> {
    if memory.application.is_some() {
        return Ok(("The sample application of an earlier run is there".to_owned(), ()));
    }
    memory.application = Some(sample::add(place, profile, client).await?);
    place.remember(memory).map_err(CliError::Found)?;
    Ok(("A sample application was signed on this machine and added".to_owned(), ()))
}

/// Deploys the sample to this machine, and waits until its agent says that it is there.
async fn deployment(client: &Client, device: DeviceId, application: Hash) -> Result<(String, ()), CliError> {
    let of_sample = |deployment: Hash| deployment == application;
    let list = client.deployment_list(&PageQuery { offset: 0, limit: 500 }).await?;
    let known = list.items.into_iter().find(|d| !d.deleted && of_sample(d.application));
    let id = match known {
        Some(known) => known.id,
        None => {
            let target = Target::Device { device };
            let request = DeploymentCreate {
                name: None,
                application,
                target,
                available: None,
                deadline: None,
                high_impact: false,
                outside_windows: false,
                volatile: false,
                software_update: false,
                options: muster_model::program::DeploymentOptions::default(),
                deferral: None,
                action: muster_model::policy::Action::Install,
                purpose: muster_model::policy::Purpose::Required,
            };
            client.deployment_create(&request).await?.id
        }
    };
    let installed = || async {
        let devices = client.deployment_devices(id, None, &PageQuery { offset: 0, limit: 10 }).await?;
        let Some(state) = devices.items.into_iter().find(|d| d.device == device) else { return Ok(None) };
        match state.state {
            DeploymentState::Succeeded => Ok(Some(())),
            DeploymentState::Failed => Err(CliError::Found(format!(
                "the agent reports {}: {}",
                state.reason.map_or("no reason", |reason| reason.as_str()),
                output::clean(&state.output)
            ))),
            _ => Ok(None),
        }
    };
    watch::until(client, Some(PATIENCE), "the success of the deployment", installed).await?;
    Ok(("It was deployed to this machine, and the agent reports success".to_owned(), ()))
}

/// A script that runs `muster` with this profile, and what to do next.
async fn console(place: &Place, client: &Client) -> Result<(String, String), CliError> {
    let script = place.path("muster");
    let text = format!(
        "#!/bin/sh\n# `muster` as the administrator of this site.\nexec {} --profile-dir {} \"$@\"\n",
        quoted(&place.program("muster")),
        quoted(&place.path("site/admin"))
    );
    files::write_private(&script, text.as_bytes(), false)?;
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .map_err(|e| CliError::file(&script, e))?;
    let code = client.session_code().await?;
    let address = code.url.split("/sign-in").next().unwrap_or_default().to_owned();
    let muster = place.shown.join("muster");
    let muster = muster.display();
    let ready = format!(
        "\nEverything works ({{total}}).\n\n  Console   {address}\n  Sign in   {}\n            (once, within 5 minutes; another one: {muster} \
         console)\n\n  Try next\n    {muster} device show {{device}}\n    {muster} inventory show {{device}} INSTALLED_SOFTWARE\n    \
         {muster} deployment list\n\nCtrl-C stops everything; ./quickstart goes on with the same site.",
        code.url
    );
    Ok(("The console waits".to_owned(), ready))
}

/// A path for the shell that reads the script.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}
