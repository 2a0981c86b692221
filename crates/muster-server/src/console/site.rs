//! The site itself: what it is, and who administers it.

use super::{
    format,
    shell::Shell,
    visit::{Answer, Visit},
};
use askama::Template;
use muster_model::{
    api::{Admin, PageQuery, RevocationState, SiteInfo, TrustView},
    time::{DAY, UnixMillis},
};

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

/// `GET /site`
pub(crate) async fn site_show(visit: Visit) -> Answer {
    let info = visit.ask(muster_site::site_show(&visit.ctx, visit.site()).await)?;
    let trust = visit.ask(muster_site::trust_show(&visit.ctx, visit.site()).await)?;
    let rows = PageQuery { offset: 0, limit: 200 };
    let admins = visit.ask(muster_site::admin_list(&visit.ctx, visit.site(), rows).await)?.items;
    let revocation = visit.ask(muster_site::revocation_show(&visit.ctx, visit.site()).await)?;
    visit.page(&SitePage { shell: visit.shell("site").await?, info, trust, admins, revocation })
}
