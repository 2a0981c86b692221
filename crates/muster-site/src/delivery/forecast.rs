//! When the devices of a deployment can begin at the earliest, by their maintenance windows: computed when it is asked for, so that it is
//! always of now, before a deployment is made and after.

use super::{
    settings::{Anywhere, updates_anywhere},
    window::bounded,
};
use crate::{Ctx, Site, SiteError, authz};
use jiff::tz::{Offset, TimeZone};
use muster_model::{
    api::{Forecast, ForecastDevice, ForecastGroup},
    id::{CollectionId, DeploymentId},
    time::UnixMillis,
    window::{Chance, MaintenanceWindow, Work, applying, chance},
};
use muster_store::{
    Connection,
    db::{
        Dialect, application as stored,
        deployment::{self, Candidate},
        window,
    },
};
use std::collections::{BTreeMap, HashMap};

/// Moments that are told apart; later ones are counted together.
const GROUPS: usize = 20;
/// Devices of a moment that are named.
const EXAMPLES: usize = 5;
/// Devices for which it never fits that are named.
const NEVER: usize = 100;

/// What is to begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// Not before: the deadline, or now.
    pub(super) from: UnixMillis,
    /// Seconds that it may run.
    pub(super) seconds: u32,
    /// Whether it keeps to the windows for updates.
    pub(super) software_update: bool,
}

/// The windows of a set of collections, and the answers that were computed for them, by the offset of the device's clock in minutes.
struct Held {
    windows: Vec<MaintenanceWindow>,
    /// Whether the device's own clock matters.
    local: bool,
    answers: HashMap<Option<i64>, Chance>,
}

impl Held {
    fn chance(&mut self, plan: &Plan, work: Work, minutes: Option<i64>) -> Chance {
        let minutes = minutes.filter(|_| self.local);
        let windows = &self.windows;
        let compute = || chance(windows, work, &zone(minutes), plan.from, plan.seconds);
        *self.answers.entry(minutes).or_insert_with(compute)
    }
}

/// A clock that is so many minutes ahead of UTC; of one that nobody told, UTC.
fn zone(minutes: Option<i64>) -> TimeZone {
    let seconds = minutes.and_then(|minutes| i32::try_from(minutes * 60).ok());
    let offset = seconds.and_then(|seconds| Offset::from_seconds(seconds).ok());
    offset.map_or(TimeZone::UTC, TimeZone::fixed)
}

/// Where no window holds, whoever they are.
pub(super) const fn unheld(devices: u64) -> Forecast {
    Forecast { devices, free: devices, groups: Vec::new(), later: 0, never: 0, never_devices: Vec::new() }
}

/// What comes of a plan on these devices.
pub(super) async fn forecast(
    conn: &mut Connection,
    dialect: Dialect,
    plan: &Plan,
    devices: &[Candidate],
) -> Result<Forecast, SiteError> {
    let mut forecast = Forecast { free: 0, ..unheld(devices.len() as u64) };
    let mut of_collection: BTreeMap<CollectionId, Vec<MaintenanceWindow>> = BTreeMap::new();
    for row in window::all(conn).await? {
        of_collection.entry(row.collection).or_default().push(row.window);
    }
    let sets = window::memberships(conn, dialect).await?;
    // By its place: so a set is hashed once, and not for each of its devices.
    let mut collections: HashMap<i64, usize> = HashMap::new();
    for (place, (_, devices)) in sets.iter().enumerate() {
        collections.extend(devices.iter().map(|device| (*device, place)));
    }
    let offsets = window::offsets(conn).await?;
    let anywhere = match plan.software_update {
        true => updates_anywhere(conn).await?,
        false => Anywhere::default(),
    };
    let mut held: HashMap<(usize, Work), Held> = HashMap::new();
    let mut groups: BTreeMap<(UnixMillis, bool), (u64, Vec<String>)> = BTreeMap::new();
    for device in devices {
        let Some((place, set)) =
            collections.get(&device.resource_id).and_then(|place| Some((*place, &sets.get(*place)?.0)))
        else {
            forecast.free += 1;
            continue;
        };
        let work = match (plan.software_update, anywhere.of(device.resource_id)) {
            (false, _) => Work::Application,
            (true, false) => Work::Update,
            (true, true) => Work::UpdateAnywhere,
        };
        let held = held.entry((place, work)).or_insert_with(|| hold(set, &of_collection, work));
        let minutes = offsets.get(&device.resource_id).copied();
        let starts = match held.chance(plan, work, minutes) {
            Chance::Free => {
                forecast.free += 1;
                continue;
            }
            Chance::Never => {
                forecast.never += 1;
                if forecast.never_devices.len() < NEVER {
                    forecast.never_devices.push(ForecastDevice { id: device.id, name: device.name.clone() });
                }
                continue;
            }
            Chance::Now { .. } => plan.from,
            Chance::Later { opens, .. } => opens,
        };
        let own_clock = held.local && minutes.is_none();
        let (count, examples) = groups.entry((starts, own_clock)).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(device.name.clone());
        }
    }
    for (at, ((starts, own_clock), (devices, examples))) in groups.into_iter().enumerate() {
        if at < GROUPS {
            forecast.groups.push(ForecastGroup { starts, own_clock, devices, examples });
        } else {
            forecast.later += devices;
        }
    }
    Ok(forecast)
}

fn hold(set: &[CollectionId], of_collection: &BTreeMap<CollectionId, Vec<MaintenanceWindow>>, work: Work) -> Held {
    // As the policy of a device has them.
    let windows = set.iter().filter_map(|id| of_collection.get(id)).flatten().cloned().collect();
    let windows = bounded(windows);
    let local = applying(&windows, work).any(|window| !window.utc);
    Held { windows, local, answers: HashMap::new() }
}

/// When the devices of a deployment on which it is not through can begin at the earliest, as their windows are now.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn deployment_forecast(ctx: &Ctx, site: &Site, id: DeploymentId) -> Result<Forecast, SiteError> {
    authz::see(ctx)?;
    foreseen(site, &mut *site.store.reader().await?, id, ctx.now).await
}

/// As [`deployment_forecast`], for whoever was authorised and for the site itself.
pub(crate) async fn foreseen(
    site: &Site,
    reader: &mut Connection,
    id: DeploymentId,
    now: UnixMillis,
) -> Result<Forecast, SiteError> {
    if let Some(kept) = site.memory.forecasts.get(id, now) {
        return Ok(kept);
    }
    let row = deployment::get(reader, id).await?.ok_or_else(SiteError::not_found)?.row;
    if row.deleted.is_some() {
        return Ok(unheld(0));
    }
    if row.outside_windows || !row.purpose.is_required() || !window::any(reader).await? {
        return Ok(unheld(deployment::count_open(reader, id).await?));
    }
    let devices = deployment::open(reader, id).await?;
    if devices.is_empty() {
        // Whoever looks needs no windows and members of all devices for it.
        return Ok(unheld(0));
    }
    let application = stored::get(reader, row.application).await?.ok_or_else(SiteError::not_found)?;
    let seconds = super::application::info(&application)?.application.longest_run_seconds();
    let plan = Plan { from: row.deadline.max(row.available).max(now), seconds, software_update: row.software_update };
    let forecast = forecast(reader, site.store.dialect(), &plan, &devices).await?;
    site.memory.forecasts.put(id, now, forecast.devices, &forecast);
    Ok(forecast)
}
