//! Refusals and failures of the rules. What is said outside and what is written to the log are two things.

use muster_model::problem::{Code, Problem};
use muster_store::{StoreError, db::AsStoreError};

/// Why a rule did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The caller may not, or the request is not acceptable; nothing was changed. The sentence may be shown to the caller.
    #[error("{}: {}", .0.code, .0.detail)]
    Refused(Box<Problem>),
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
    /// A fault of the site itself; the sentence is for the log only.
    #[error("{0}")]
    Fault(String),
}

impl SiteError {
    /// A refusal.
    #[must_use]
    pub fn refused(code: Code, detail: impl Into<String>) -> Self {
        Self::Refused(Box::new(Problem::new(code, detail)))
    }

    /// What does not exist and what is another's: the same answer.
    #[must_use]
    pub fn not_found() -> Self {
        Self::refused(Code::NotFound, "There is nothing at this address.")
    }

    /// What the caller is told.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::Refused(problem) => (**problem).clone(),
            Self::Store(StoreError::DiskFull | StoreError::Unavailable(_)) => Problem::new(
                Code::Unavailable,
                "The site cannot store anything at the moment; nothing was changed. Try again later.",
            ),
            Self::Store(_) | Self::Fault(_) => {
                Problem::new(Code::Internal, "The site failed; nothing was changed. Its log has the reason.")
            }
        }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.problem().code
    }
}

impl From<StoreError> for SiteError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::not_found(),
            StoreError::Exists => Self::refused(Code::Conflict, "There is one with this name or key already."),
            StoreError::ViewInUse { view, by } => Self::refused(
                Code::Conflict,
                format!(
                    "The view {view} has to be made anew, and {by} reads it: drop that first, and make it anew afterwards."
                ),
            ),
            other => Self::Store(other),
        }
    }
}

impl AsStoreError for SiteError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}
