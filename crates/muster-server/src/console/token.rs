//! Enrolment tokens: the list, a new one (shown once), and taking one back.

use super::{
    confirm::ConfirmPage,
    format,
    paging::Paging,
    shell::{Done, Shell},
    visit::{Answer, Fields, Named, Rows, Visit, Wanted, go_done},
};
use askama::Template;
use muster_model::{
    api::{Page, PageQuery, Token, TokenCreate, TokenCreated, TokenState},
    id::{Name, TokenId},
};

/// `GET /tokens`: the list and the form for a new one.
#[derive(Debug, Template)]
#[template(path = "tokens.html")]
pub(crate) struct TokensPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The tokens.
    pub(crate) page: Page<Token>,
    paging: Paging,
    /// What was wrong with the form, where something was.
    pub(crate) problem: Option<String>,
}

impl TokensPage {
    /// The page for these tokens.
    pub(crate) fn new(shell: Shell, wanted: PageQuery, page: Page<Token>, problem: Option<String>) -> Self {
        let paging = Paging::new(&page, wanted.limit, |offset| format!("/tokens?offset={offset}"));
        Self { shell, page, paging, problem }
    }

    /// Lengths that the form offers: seconds and words.
    fn lengths(&self) -> [(u32, &'static str); 5] {
        [(3_600, "1 hour"), (86_400, "1 day"), (259_200, "3 days"), (604_800, "7 days"), (2_592_000, "30 days")]
    }

    fn is_open(&self, token: &Token) -> bool {
        token.state == TokenState::Open
    }
}

/// `POST /tokens`: the new token, shown this once.
#[derive(Debug, Template)]
#[template(path = "token_created.html")]
pub(crate) struct TokenCreatedPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// What it is for.
    pub(crate) name: String,
    /// The token.
    pub(crate) created: TokenCreated,
}

/// `GET /tokens`
pub(crate) async fn token_list(visit: Visit, Wanted(rows): Wanted<Rows>) -> Answer {
    list(visit, rows.into(), None).await
}

async fn list(visit: Visit, rows: PageQuery, problem: Option<String>) -> Answer {
    let page = visit.ask(muster_site::token_list(&visit.ctx, visit.site(), rows).await)?;
    visit.page(&TokensPage::new(visit.shell("tokens").await?, rows, page, problem))
}

/// The form for a new token.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct TokenFields {
    name: String,
    valid_seconds: u32,
}

/// `POST /tokens`
pub(crate) async fn token_create(visit: Visit, Fields(fields): Fields<TokenFields>) -> Answer {
    let name: Name = match fields.name.trim().parse() {
        Ok(name) => name,
        Err(error) => return list(visit, PageQuery::default(), Some(format!("What it is for: {error}."))).await,
    };
    let create = TokenCreate { name: name.clone(), valid_seconds: fields.valid_seconds, serial: None };
    let created = visit.ask(muster_site::token_create(&visit.ctx, visit.site(), create).await)?;
    visit.page(&TokenCreatedPage { shell: visit.shell("tokens").await?, name: name.to_string(), created })
}

/// What the confirmation calls the token. It is shown and nothing else.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct NameWanted {
    #[serde(default)]
    name: String,
}

/// `GET /tokens/{id}/revoke`
pub(crate) async fn revoke_confirm(
    visit: Visit,
    Named(id): Named<TokenId>,
    Wanted(wanted): Wanted<NameWanted>,
) -> Answer {
    visit.page(&ConfirmPage {
        shell: visit.shell("tokens").await?,
        title: "Revoke token".to_owned(),
        object: wanted.name,
        consequences: vec![
            "Nobody can ask to be enrolled with it any more.".to_owned(),
            "A request that used it already is not touched: refuse it, or block its device.".to_owned(),
        ],
        reason: false,
        action: format!("/tokens/{id}/revoke"),
        button: "Revoke token".to_owned(),
        danger: true,
        back: "/tokens".to_owned(),
        hidden: vec![],
    })
}

/// `POST /tokens/{id}/revoke`
pub(crate) async fn token_revoke(visit: Visit, Named(id): Named<TokenId>) -> Answer {
    visit.ask(muster_site::token_revoke(&visit.ctx, visit.site(), id).await)?;
    Ok(go_done("/tokens", Done::TokenRevoked))
}
