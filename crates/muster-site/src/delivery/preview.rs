//! What a deployment would do, before it is made.

use super::{
    application,
    deployment::{check_action, check_collection, check_options, find, high_impact, related, times},
    forecast::{Plan, forecast, unheld},
    secret, type_preview,
};
use crate::{Ctx, Site, SiteError, authz};
use muster_model::{
    api::{DeploymentCreate, DeploymentPreview, Forecast, Relation, Target},
    application::Application,
    policy::Action,
    program::Rerun,
};
use muster_store::{
    Connection,
    db::{application as stored, deployment, deployment_related, window},
};

/// What `deployment_create` would do.
///
/// # Errors
/// As `deployment_create`, which it does not do.
pub async fn deployment_preview(
    ctx: &Ctx,
    site: &Site,
    create: &DeploymentCreate,
) -> Result<DeploymentPreview, SiteError> {
    authz::see(ctx)?;
    let (available, deadline) = times(ctx, create)?;
    let mut reader = site.store.reader().await?;
    let application = find(stored::get(&mut reader, create.application).await?)?;
    let wanted = application::info(&application)?.application;
    check_action(&mut reader, create, &wanted).await?;
    let related = related(site, &mut reader, create, &application, &wanted).await?;
    check_options(create, &wanted, &related)?;
    if let Target::Collection { collection } = create.target {
        let high_impact = high_impact(create, &application)? || related.has_secrets();
        check_collection(&mut reader, collection, high_impact).await?;
    }
    let (devices, examples) = deployment::preview(&mut reader, create.target).await?;
    let mut warnings = Vec::new();
    if devices == 0 {
        warnings.push("No active device would get it now.".to_owned());
    }
    warnings.extend(related.sentences());
    warnings.extend(consequences(&mut reader, create, &wanted).await?);
    warnings.extend(options(create, &wanted));
    warnings.extend(super::deployment_approval::foreseen(site, devices));
    let required = create.purpose.is_required();
    if deadline <= ctx.now && devices > 0 && required {
        warnings.push("The deadline is now: clients start as soon as they have the policy.".to_owned());
    }
    if create.outside_windows && devices > 0 && required {
        warnings.push(
            "It does not wait for maintenance windows: clients start at the deadline whatever the time.".to_owned(),
        );
    }
    if create.volatile && devices > 0 && required {
        warnings.push(
            "Where a write filter protects a device it goes into the overlay, and is gone after the next restart."
                .to_owned(),
        );
    }
    if let Some(deferral) = create.deferral {
        warnings.push(format!("On each device, {}.", deferral.sentence()));
    }
    if available > ctx.now {
        warnings.push("Clients get the policy now and wait until it is available.".to_owned());
    }
    let same = deployment::count_of(&mut reader, create.application).await?;
    if same > 0 {
        warnings.push(format!("{same} deployment(s) of this same application are in force already."));
    }
    if let Some(collector) = wanted.collector.as_ref().filter(|collector| !collector.privilege.is_none()) {
        warnings.push(format!(
            "Its collector for {} runs as root with each inventory, because its authors signed that it needs that.",
            collector.class.name
        ));
    }
    let (types, took) = type_preview::types(site, &mut reader, &wanted, create.target, ctx.now).await?;
    warnings.extend(took);
    let rivals = super::rival::foreseen(site, &mut reader, create, &wanted, &related).await?;
    let plan = Plan {
        from: available.max(deadline).max(ctx.now),
        seconds: related.seconds(&wanted),
        software_update: create.software_update || wanted.updates().is_some(),
    };
    // Nothing begins by itself where users begin it, and what a user begins does not wait.
    let forecast = if create.outside_windows || !required || !window::any(&mut reader).await? {
        unheld(devices)
    } else {
        let candidates = deployment::candidates(&mut reader, create.target).await?;
        forecast(&mut reader, site.store.dialect(), &plan, &candidates).await?
    };
    drop(reader);
    warnings.extend(never(&forecast, plan.seconds));
    for application in std::iter::once(&wanted).chain(related.with_secrets()) {
        let it = if application.id == wanted.id { "It".to_owned() } else { application.name.to_string() };
        for (name, sealed, _) in secret::secret_wanted(ctx, site, application).await? {
            let name = name.as_str();
            warnings.push(format!(
                "{it} wants the secret {name}, which is sealed for {sealed} device(s); the others wait until `muster secret seal` has sealed it for them."
            ));
        }
    }
    let content_size = application.content_size + related.entries.iter().map(|entry| entry.content_size).sum::<u64>();
    let related = related.shown();
    Ok(DeploymentPreview { devices, examples, content_size, forecast, related, types, rivals, warnings })
}

/// What is said of programs, types and notices.
fn options(create: &DeploymentCreate, application: &Application) -> Vec<String> {
    let mut said = Vec::new();
    if !application.types.is_empty() {
        let names: Vec<_> = application.type_names().collect();
        said.push(format!(
            "Each device takes the first deployment type that is for it, and fetches the files of that one alone: {}.",
            names.join(", ")
        ));
    }
    if application.is_program() {
        let again = match (create.options.rerun, create.options.schedule.is_empty()) {
            (Rerun::Never, _) => "A device on which it ran before does not run it again, however that ended",
            (Rerun::Always, true) => "It runs once more where it ran before",
            (Rerun::Always, false) => "It runs at its deadline and whenever its schedule says so",
            (Rerun::IfFailed, true) => "It runs once more where it did not succeed before",
            (Rerun::IfFailed, false) => "It runs again by its schedule until it has succeeded",
            (Rerun::IfSucceeded, true) => "It runs once more where it succeeded before",
            (Rerun::IfSucceeded, false) => "It runs again by its schedule until it has failed",
        };
        said.push(format!("It is a program: its exit code alone says whether it worked. {again}."));
    }
    if create.options.notices {
        said.push("Users of a device are told before, while and after something is done.".to_owned());
    }
    said
}

/// On which devices it would never start.
fn never(forecast: &Forecast, seconds: u32) -> Option<String> {
    let mut names: Vec<&str> = forecast.never_devices.iter().map(|device| device.name.as_str()).collect();
    let more = if forecast.never > 10 { ", and more" } else { "" };
    names.truncate(10);
    (forecast.never > 0).then(|| {
        format!(
            "It would never start on {} device(s), because no maintenance window is long enough for its {} minute(s) and 5 more, or none opens again: {}{more}.",
            forecast.never,
            seconds.div_ceil(60),
            names.join(", ")
        )
    })
}

/// What else there is to think about: sentences.
async fn consequences(
    conn: &mut Connection,
    create: &DeploymentCreate,
    application: &Application,
) -> Result<Vec<String>, SiteError> {
    let mut said = Vec::new();
    if create.action == Action::Uninstall {
        said.push(format!("It uninstalls {} where its detection rule finds it.", application.name));
        let needed = deployment_related::count_of(conn, application.id, Relation::Dependency).await?;
        if needed > 0 {
            said.push(format!(
                "{needed} deployment(s) in force depend on {}; a device that has one of them keeps it.",
                application.name
            ));
        }
        return Ok(said);
    }
    if !create.purpose.is_required() {
        said.push("Nothing starts by itself: a user of each device may start it.".to_owned());
    }
    let versions = deployment_related::count_other_versions(conn, application.id, create.application).await?;
    if versions > 0 {
        said.push(format!(
            "{versions} deployment(s) of other versions of {} are in force; a device that gets both keeps the newer one once it is there.",
            application.name
        ));
    }
    for old in &application.supersedes {
        if let Some(row) = stored::of_id(conn, old.application).await?.first()
            && deployment_related::count_installed(conn, old.application).await? > 0
        {
            said.push(format!(
                "{} is deployed too; a device that gets both does not install it any more once {} is there.",
                row.name, application.name
            ));
        }
    }
    if !application.requirements.is_empty() {
        let names: Vec<_> = application.requirements.iter().map(|one| one.name.to_string()).collect();
        said.push(format!("Each device itself looks whether it meets its requirements: {}.", names.join(", ")));
    }
    Ok(said)
}
