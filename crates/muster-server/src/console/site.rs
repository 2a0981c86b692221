//! The site itself: client settings, what the site is, and who administers it.

use super::{
    format,
    shell::{Done, Shell},
    visit::{Answer, Fields, Visit, go_done},
};
use askama::Template;
use muster_model::{
    api::{Admin, PageQuery, RevocationState, SiteInfo, TrustView},
    policy::ClientSettings,
    problem::Code,
    time::{DAY, HOUR, MINUTE, SECOND, UnixMillis},
};

/// `GET /settings`: client settings.
#[derive(Debug, Template)]
#[template(path = "settings.html")]
pub(crate) struct SettingsPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The settings in force.
    pub(crate) settings: ClientSettings,
    /// What was wrong with the form.
    pub(crate) problem: Option<String>,
}

/// One setting of the form.
struct Field {
    name: &'static str,
    words: &'static str,
    explanation: &'static str,
    value: i64,
    unit: i64,
}

/// Units that the form offers: milliseconds and words.
pub(crate) const UNITS: [(i64, &str); 4] = [(SECOND, "seconds"), (MINUTE, "minutes"), (HOUR, "hours"), (DAY, "days")];

impl Field {
    /// The field for a length: shown in its largest whole unit.
    fn new(name: &'static str, words: &'static str, explanation: &'static str, millis: i64) -> Self {
        let whole = |(unit, _): &&(i64, &str)| millis % unit == 0 && millis >= *unit;
        let unit = UNITS.iter().rev().find(whole).map_or(SECOND, |(unit, _)| *unit);
        Self { name, words, explanation, value: millis / unit, unit }
    }
}

impl SettingsPage {
    fn fields(&self) -> [Field; 3] {
        let ClientSettings { policy_poll, inventory, heartbeat, .. } = self.settings;
        [
            Field::new(
                "policy_poll",
                "Client policy polling interval",
                "How often a client asks for its policy when its live channel says nothing. Default: 60 minutes.",
                policy_poll,
            ),
            Field::new(
                "inventory",
                "Hardware inventory interval",
                "How often a client reads its inventory; it sends only what changed. Default: 7 days.",
                inventory,
            ),
            Field::new(
                "heartbeat",
                "Heartbeat discovery interval",
                "How often a client that has nothing to say reports that it is there. Default: 7 days.",
                heartbeat,
            ),
        ]
    }

    fn units(&self) -> &'static [(i64, &'static str)] {
        &UNITS
    }
}

/// `GET /site`.
#[derive(Debug, Template)]
#[template(path = "site.html")]
pub(crate) struct SitePage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The site.
    pub(crate) info: SiteInfo,
    /// Whose keys are believed.
    pub(crate) trust: TrustView,
    /// Its administrators.
    pub(crate) admins: Vec<Admin>,
    /// Its revocation lists.
    pub(crate) revocation: RevocationState,
}

impl SitePage {
    /// Whether the trust bundle ends within 30 days: then it is time to sign a new one.
    fn ends_soon(&self, moment: &UnixMillis) -> bool {
        moment.since(self.shell.now) < 30 * DAY
    }
}

/// `GET /settings`
pub(crate) async fn settings_show(visit: Visit) -> Answer {
    let settings = visit.ask(muster_site::settings_show(&visit.ctx, visit.site()).await)?;
    visit.page(&SettingsPage { shell: visit.shell("settings").await?, settings, problem: None })
}

/// The form: each length as a number and a unit.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct SettingsFields {
    policy_poll: i64,
    policy_poll_unit: String,
    inventory: i64,
    inventory_unit: String,
    heartbeat: i64,
    heartbeat_unit: String,
}

/// A length of the form, in milliseconds; an unknown unit is nothing.
fn length(number: i64, unit: &str) -> i64 {
    let unit = UNITS.iter().find(|(_, words)| *words == unit).map_or(0, |(millis, _)| *millis);
    number.saturating_mul(unit)
}

/// `POST /settings`
pub(crate) async fn settings_update(visit: Visit, Fields(fields): Fields<SettingsFields>) -> Answer {
    // What the form does not have stays as it is.
    let before = visit.ask(muster_site::settings_show(&visit.ctx, visit.site()).await)?;
    let settings = ClientSettings {
        policy_poll: length(fields.policy_poll, &fields.policy_poll_unit),
        inventory: length(fields.inventory, &fields.inventory_unit),
        heartbeat: length(fields.heartbeat, &fields.heartbeat_unit),
        ..before
    };
    match muster_site::settings_update(&visit.ctx, visit.site(), settings.clone()).await {
        Ok(_) => Ok(go_done("/settings", Done::SettingsSaved)),
        Err(error) if error.code() == Code::Malformed => {
            let problem = Some(error.problem().detail);
            visit.page(&SettingsPage { shell: visit.shell("settings").await?, settings, problem })
        }
        Err(error) => Err(visit.refuse(error)),
    }
}

/// `GET /site`
pub(crate) async fn site_show(visit: Visit) -> Answer {
    let info = visit.ask(muster_site::site_show(&visit.ctx, visit.site()).await)?;
    let trust = visit.ask(muster_site::trust_show(&visit.ctx, visit.site()).await)?;
    let rows = PageQuery { offset: 0, limit: 200 };
    let admins = visit.ask(muster_site::admin_list(&visit.ctx, visit.site(), rows).await)?.items;
    let revocation = visit.ask(muster_site::revocation_show(&visit.ctx, visit.site()).await)?;
    visit.page(&SitePage { shell: visit.shell("site").await?, info, trust, admins, revocation })
}
