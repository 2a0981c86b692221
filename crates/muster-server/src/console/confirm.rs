//! The page before anything that cannot be taken back by a click: what it will do, and why it is done.

use super::{format, shell::Shell};
use askama::Template;

/// A question with its consequences.
#[derive(Debug, Template)]
#[template(path = "confirm.html")]
pub(crate) struct ConfirmPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The question's verb and kind: `Block device`.
    pub(crate) title: String,
    /// On what: its name.
    pub(crate) object: String,
    /// What will happen, one sentence each.
    pub(crate) consequences: Vec<String>,
    /// Whether a reason is asked for.
    pub(crate) reason: bool,
    /// Where the form goes.
    pub(crate) action: String,
    /// The words on the button.
    pub(crate) button: String,
    /// Whether it takes something away.
    pub(crate) danger: bool,
    /// Where "cancel" leads.
    pub(crate) back: String,
    /// Fields that the form carries along: name and value.
    pub(crate) hidden: Vec<(String, String)>,
}
