//! A deployment to many devices: what its what-if costs where all of them have many windows, and what it costs until each has a signed
//! assignment that lists it. In this process, on one database.

use super::{
    collections::{measured, settle},
    collections_site::{self, Fleet, Parts},
    report::Figure,
};
use crate::fleet::{FleetError, say};
use muster_model::{
    api::{CollectionImport, DeploymentCreate},
    application::Application,
    id::{CollectionId, Hash},
    window::MaintenanceWindow,
};
use muster_site::{
    Ctx, Site, application_create, collection_import, collection_window_add,
    delivery::policy::{policy_restore, policy_work},
    deployment_create, deployment_preview,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::{fmt::Write as _, path::Path, time::Duration};

/// Collections with windows, which every device is in; and windows of each.
const COLLECTIONS: usize = 5;
const WINDOWS: usize = 10;

/// What is to be measured.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The database; none: SQLite in the directory.
    pub database: Option<&'a str>,
    /// Where the site is made.
    pub scratch: &'a Path,
    /// Devices.
    pub devices: u64,
}

fn broken(error: impl std::fmt::Display) -> FleetError {
    FleetError::Unusable(format!("the site: {error}"))
}

fn of<T: DeserializeOwned>(value: Value) -> Result<T, FleetError> {
    serde_json::from_value(value).map_err(broken)
}

/// An application that its author signed.
async fn application(ctx: &Ctx, site: &Site, parts: &Parts, number: u128) -> Result<Hash, FleetError> {
    let application: Application = of(json!({
        "id": uuid::Uuid::from_u128(number),
        "name": format!("Sample {number}"),
        "version": "1",
        "platform": "linux",
        "content": [],
        "install": { "program": "/usr/bin/true" },
        "detection": { "kind": "file", "path": "/opt/sample" },
        "max_run_seconds": 3_600,
    }))?;
    let object = muster_trust::envelope::sign_json(&[&parts.author], &application).map_err(broken)?;
    Ok(application_create(ctx, site, &object).await.map_err(broken)?.hash)
}

/// Collections of everybody.
async fn collections(ctx: &Ctx, site: &Site) -> Result<Vec<CollectionId>, FleetError> {
    let mut text = String::new();
    for number in 0..COLLECTIONS {
        // Writing into a text does not fail.
        let _ = writeln!(
            text,
            "instance of SMS_Collection {{ Name = \"Windows {number}\"; LimitToCollectionID = \"SMS00001\"; RefreshType = 4; CollectionRules = \
             {{ instance of SMS_CollectionRuleQuery {{ RuleName = \"q\"; QueryExpression = \"select * from SMS_R_System where Name like '%-WS-%'\"; }} }}; }};"
        );
    }
    let request = CollectionImport { text, what_if: false };
    let done = collection_import(ctx, site, &request).await.map_err(broken)?;
    let ids: Vec<CollectionId> = done.taken.iter().map(|taken| taken.id).collect();
    if ids.len() == COLLECTIONS { Ok(ids) } else { Err(broken(format!("{:?}", done.left.first()))) }
}

/// All work that waits for policy.
async fn compile(site: &Site) -> Result<(), FleetError> {
    while policy_work(site, crate::fleet::clock::now()).await.map_err(broken)? > 0 {}
    Ok(())
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// Measures.
///
/// # Errors
/// When the site cannot be made.
pub async fn run(plan: &Plan<'_>) -> Result<Vec<Figure>, FleetError> {
    let name = if plan.database.is_some() { "PostgreSQL" } else { "SQLite" };
    let figure = |line: Option<u8>, what: &str, unit: &str, target: Option<f64>, value: f64| {
        Figure::new(line, format!("{what} ({name})"), unit, target).lower().ours(value)
    };
    let mut figures = Vec::new();
    let (site, parts) = collections_site::make(plan.database, plan.scratch).await?;
    Fleet::enrol(&site.store, plan.devices, 1, false).await?;
    let ctx = collections_site::ctx(&site).await?;
    let ids = collections(&ctx, &site).await?;
    settle(&site).await?;
    // What every device has from its enrolment on.
    while policy_restore(&site, crate::fleet::clock::now()).await.map_err(broken)? > 0 {
        compile(&site).await?;
    }
    compile(&site).await?;
    say(&format!("{} devices are loaded.", plan.devices));

    let to_all = |application: Hash| -> Result<DeploymentCreate, FleetError> {
        of(json!({ "application": application, "target": { "kind": "collection", "collection": ids[0] } }))
    };
    let wanted = to_all(application(&ctx, &site, &parts, 1).await?)?;
    let (_, created) = measured(async {
        deployment_create(&ctx, &site, &wanted).await.map_err(broken)?;
        compile(&site).await
    })
    .await?;
    figures.push(figure(
        Some(15),
        "a deployment: targeted, compiled, signed, stored",
        "s of CPU",
        Some(15.0),
        seconds(created.cpu),
    ));
    let each = seconds(created.cpu) * 1e6 / plan.devices.max(1) as f64;
    figures.push(figure(None, "the same, a device", "us of CPU", None, each));

    for (at, id) in ids.iter().enumerate() {
        for number in 0..WINDOWS {
            let window: MaintenanceWindow = of(json!({
                "name": format!("Window {number}"),
                "start": format!("2026-01-{:02}T{:02}:00", 1 + (at * 5 + number) % 28, number * 2),
                "every": { "kind": "monthly_by_weekday", "day": 1 + number % 7, "week": number % 5, "months": 1 + at % 3, "offset": number % 5 },
                "minutes": 30 + 5 * number + at,
            }))?;
            collection_window_add(&ctx, &site, *id, &window).await.map_err(broken)?;
        }
    }
    let ((), windows) = measured(compile(&site)).await?;
    let what = format!("{} windows for every device: compiled, signed, stored", COLLECTIONS * WINDOWS);
    figures.push(figure(None, &what, "s of CPU", None, seconds(windows.cpu)));

    let wanted = to_all(application(&ctx, &site, &parts, 2).await?)?;
    let (preview, looked) = measured(async { deployment_preview(&ctx, &site, &wanted).await.map_err(broken) }).await?;
    let what = format!("what-if of a deployment with {} windows on each device", COLLECTIONS * WINDOWS);
    figures.push(figure(None, &what, "s of CPU", Some(1.0), seconds(looked.cpu)).note(format!(
        "{:.2} s on the wall; {} devices, {} never",
        seconds(looked.wall),
        preview.forecast.devices,
        preview.forecast.never
    )));
    Ok(figures)
}
