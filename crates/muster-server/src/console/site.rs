//! The site itself: client settings, what the site is, and who administers it.

use super::{format, shell::Shell};
use askama::Template;
use muster_model::{
    api::{Admin, SiteInfo},
    policy::ClientSettings,
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
        let ClientSettings { policy_poll, inventory, heartbeat } = self.settings;
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
    /// Its administrators.
    pub(crate) admins: Vec<Admin>,
}

impl SitePage {
    /// Whether the trust bundle ends within 30 days: then it is time to sign a new one.
    fn ends_soon(&self, moment: &UnixMillis) -> bool {
        moment.since(self.shell.now) < 30 * DAY
    }
}
