//! What stops a simulation or a measurement, as a sentence for whoever started it.

use std::path::PathBuf;

/// Why a simulation or measurement did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The network or a process.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        error: std::io::Error,
    },
    /// A file.
    #[error("{}: {reason}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The site said no.
    #[error("the site answered {status} to {what}: {answer}")]
    Refused {
        /// What was asked.
        what: String,
        /// The HTTP status.
        status: u16,
        /// The answer's first bytes.
        answer: String,
    },
    /// Something that cannot be used or understood.
    #[error("{0}")]
    Unusable(String),
    /// The administrators' API.
    #[error(transparent)]
    Administrator(#[from] muster_cli::CliError),
    /// A key.
    #[error(transparent)]
    Key(#[from] muster_trust::key::KeyError),
    /// A TLS configuration.
    #[error(transparent)]
    Tls(#[from] muster_trust::tls::TlsError),
    /// A certificate or signing request.
    #[error(transparent)]
    Certificate(#[from] muster_trust::certificate::CertificateError),
    /// A signature.
    #[error(transparent)]
    Envelope(#[from] muster_trust::envelope::EnvelopeError),
    /// JSON that cannot be written or read.
    #[error("unexpected JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl From<muster_cli::ClientError> for FleetError {
    fn from(error: muster_cli::ClientError) -> Self {
        Self::Administrator(error.into())
    }
}

impl FleetError {
    /// Wraps an error of the system with what was tried.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io { what, error }
    }

    /// A problem with a file.
    pub fn file(path: impl Into<PathBuf>, reason: impl std::fmt::Display) -> Self {
        Self::File { path: path.into(), reason: reason.to_string() }
    }
}
