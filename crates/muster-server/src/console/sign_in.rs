//! Signing in with a one-time code of the command line tool.

use super::{assets::Assets, format, shell::Theme};
use askama::Template;
use muster_model::id::{Name, SiteCode};

/// `GET /sign-in`: paste the code, or confirm the one of the link.
#[derive(Debug, Template)]
#[template(path = "sign_in.html")]
pub(crate) struct SignInPage {
    /// The site code.
    pub(crate) site: SiteCode,
    /// The site's name.
    pub(crate) site_name: Name,
    /// The colours.
    pub(crate) theme: Theme,
    /// The code of the link, where there is one.
    pub(crate) code: String,
    /// Why the last attempt did not work.
    pub(crate) problem: Option<String>,
    /// Whether the person just signed out.
    pub(crate) signed_out: bool,
}
