//! What a page shows when something was refused: what happened, the stable code, and what to do next.

use super::{assets::Assets, format, shell::Theme};
use askama::Template;
use muster_model::problem::Code;

/// A refusal as a page.
#[derive(Debug, Template)]
#[template(path = "problem.html")]
pub(crate) struct ProblemPage {
    /// The colours.
    pub(crate) theme: Theme,
    /// The HTTP status.
    pub(crate) status: u16,
    /// The stable code.
    pub(crate) code: Code,
    /// One sentence from the rule that refused.
    pub(crate) detail: String,
    /// Where to go on: an address and its name.
    pub(crate) next: (&'static str, &'static str),
}

impl ProblemPage {
    /// The page for a refusal.
    pub(crate) fn new(theme: Theme, code: Code, detail: String) -> Self {
        let next = match code {
            Code::Unauthenticated | Code::SignInInvalid => ("/sign-in", "Sign in"),
            _ => ("/", "Go to the overview"),
        };
        Self { theme, status: code.status(), code, detail, next }
    }

    /// The heading.
    pub(crate) const fn title(&self) -> &'static str {
        match self.code {
            Code::NotFound => "There is nothing here",
            Code::Unauthenticated | Code::SignInInvalid => "You are not signed in",
            Code::Forbidden => "You may not do this",
            Code::Changed => "Somebody changed this before you",
            Code::Conflict | Code::ContentMissing => "This does not work in its present state",
            Code::CsrfInvalid => "This form is too old",
            Code::TooMany => "Too many requests",
            Code::Unavailable => "The site cannot answer at the moment",
            Code::Internal => "The site made a mistake",
            _ => "This was refused",
        }
    }

    /// What to do next, in one or two sentences.
    pub(crate) const fn advice(&self) -> &'static str {
        match self.code {
            Code::NotFound => "The address may be old, or the thing was deleted. Find it again from the overview.",
            Code::Unauthenticated | Code::SignInInvalid => {
                "Sessions end by themselves. Run `muster console` and open the link that it prints."
            }
            Code::Forbidden => "Your role is read-only. Ask a full administrator to do it, or to change your role.",
            Code::Changed => "Go back, load the page again, look at what changed, and decide anew.",
            Code::Conflict | Code::ContentMissing => {
                "Go back and load the page again: its state changed. Nothing was done."
            }
            Code::CsrfInvalid => "Go back, load the page again and send the form once more. Nothing was done.",
            Code::TooMany => "Wait a minute and try again.",
            Code::Unavailable => {
                "Nothing was changed. Try again in a moment; `musterd doctor` says what is wrong if it stays."
            }
            Code::Internal => {
                "Nothing was changed. The log of the server has the reason; `musterd doctor` checks the site."
            }
            _ => "Go back and correct what the sentence above names. Nothing was changed.",
        }
    }
}
