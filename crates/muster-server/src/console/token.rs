//! Enrolment tokens: the list, a new one (shown once), and taking one back.

use super::{format, paging::Paging, shell::Shell};
use askama::Template;
use muster_model::api::{Page, PageQuery, Token, TokenCreated, TokenState};

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
