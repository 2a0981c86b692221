//! Issuers: CAs of the enterprise whose client certificates count, their revocation lists, and what is wrong with them.

use super::{
    confirm::ConfirmPage,
    format,
    shell::{Done, Shell},
    visit::{Answer, Fields, Named, Visit, Wanted, go_done},
};
use askama::Template;
use muster_model::{
    api::{Issuer, IssuerAdd, IssuerCriteria, Page, Reason},
    id::Hash,
    problem::Code,
};

/// `GET /issuers`: the list and the form for a new one.
#[derive(Debug, Template)]
#[template(path = "issuers.html")]
pub(crate) struct IssuersPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The issuers.
    pub(crate) page: Page<Issuer>,
    /// What was wrong with the form, where something was.
    pub(crate) problem: Option<String>,
}

impl IssuersPage {
    /// The criteria of an issuer, one line each.
    fn criteria(&self, issuer: &Issuer) -> Vec<String> {
        let IssuerCriteria { subject, san, eku } = &issuer.criteria;
        let one = |words: &str, list: &[String]| (!list.is_empty()).then(|| format!("{words} {}", list.join(", ")));
        [one("subject has", subject), one("named one of", san), one("is also for", eku)].into_iter().flatten().collect()
    }
}

/// `GET /issuers`
pub(crate) async fn issuer_list(visit: Visit) -> Answer {
    list(visit, None).await
}

async fn list(visit: Visit, problem: Option<String>) -> Answer {
    let page = visit.ask(muster_site::issuer_list(&visit.ctx, visit.site()).await)?;
    visit.page(&IssuersPage { shell: visit.shell("issuers").await?, page, problem })
}

/// The form for a new issuer. Criteria stand one on a line.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct IssuerFields {
    certificate: String,
    list_url: String,
    grace_hours: u32,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    san: String,
    #[serde(default)]
    eku: String,
}

/// `POST /issuers`
pub(crate) async fn issuer_add(visit: Visit, Fields(fields): Fields<IssuerFields>) -> Answer {
    let lines = |text: &str| text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    let add = IssuerAdd {
        certificate: fields.certificate,
        criteria: IssuerCriteria { subject: lines(&fields.subject), san: lines(&fields.san), eku: lines(&fields.eku) },
        list_url: fields.list_url.trim().to_owned(),
        grace_hours: fields.grace_hours,
    };
    match muster_site::issuer_add(&visit.ctx, visit.site(), add).await {
        Ok(_) => Ok(go_done("/issuers", Done::IssuerAdded)),
        Err(error) if matches!(error.code(), Code::Malformed | Code::TooLarge | Code::Conflict) => {
            let problem = Some(error.problem().detail);
            list(visit, problem).await
        }
        Err(error) => Err(visit.refuse(error)),
    }
}

/// What the confirmation calls the issuer. It is shown and nothing else.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct NameWanted {
    #[serde(default)]
    name: String,
}

/// `GET /issuers/{id}/remove`
pub(crate) async fn remove_confirm(visit: Visit, Named(id): Named<Hash>, Wanted(wanted): Wanted<NameWanted>) -> Answer {
    visit.page(&ConfirmPage {
        shell: visit.shell("issuers").await?,
        title: "Remove issuer".to_owned(),
        object: wanted.name,
        consequences: vec![
            "Its certificates count no more: devices that talk with them are shut out at once.".to_owned(),
            "Those devices come back when it is added again, or by enrolling anew.".to_owned(),
        ],
        reason: true,
        action: format!("/issuers/{id}/remove"),
        button: "Remove issuer".to_owned(),
        danger: true,
        back: "/issuers".to_owned(),
        hidden: vec![],
    })
}

/// `POST /issuers/{id}/remove`
pub(crate) async fn issuer_remove(visit: Visit, Named(id): Named<Hash>, Fields(reason): Fields<Reason>) -> Answer {
    visit.ask(muster_site::issuer_remove(&visit.ctx, visit.site(), id, reason).await)?;
    Ok(go_done("/issuers", Done::IssuerRemoved))
}
