//! What ends a command, the exit code that goes with it, and what a person can do next.

use crate::ClientError;
use muster_model::problem::Code;
use std::path::PathBuf;

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The site refused, or cannot be reached.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The command line asks for something that cannot be, in a way that the parser does not see.
    #[error("{0}")]
    Usage(String),
    /// A file of this machine cannot be read or written.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said, or what is wrong with the content.
        reason: String,
    },
    /// There is no profile, or the key cannot be opened.
    #[error("{0}")]
    NotSignedIn(String),
    /// A person said no, or could not be asked.
    #[error("{0}")]
    Cancelled(String),
    /// The command worked, and what it found is bad news: a failed deployment, a broken audit log, a time that ran out.
    #[error("{0}")]
    Found(String),
    /// Standard output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(std::io::Error),
}

/// What `muster help exit-codes` prints.
pub const EXIT_CODES: &str = "\
0  done
1  the site refused, or could not answer; nothing was changed
2  the command line is wrong
3  the site cannot be reached, or the server there is not this site's
4  not signed in: no profile, no key, a wrong passphrase, or a key that the site does not know
5  cancelled: the answer was no, or there was nobody to ask (say --yes)
6  a file of this machine cannot be read, written or used
7  the command worked, and what it found is bad news: a deployment failed on a device, the
   audit log is broken, the time given with --timeout is over

With --json a refusal is printed to standard error as the site sent it: a problem (RFC 9457)
with a stable `code`.";

impl CliError {
    /// A problem with a file.
    pub fn file(path: impl Into<PathBuf>, reason: impl std::fmt::Display) -> Self {
        Self::File { path: path.into(), reason: reason.to_string() }
    }

    /// The exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Client(error) => match error {
                ClientError::Refused(problem) => match problem.code {
                    Code::Unauthenticated | Code::SignInInvalid => 4,
                    _ => 1,
                },
                ClientError::Unreachable { .. } | ClientError::NotTrusted { .. } | ClientError::Protocol { .. } => 3,
                ClientError::Profile(_) | ClientError::Key(_) | ClientError::Tls(_) => 4,
                ClientError::File(_) => 6,
            },
            Self::Usage(_) => 2,
            Self::NotSignedIn(_) => 4,
            Self::Cancelled(_) => 5,
            Self::File { .. } | Self::Output(_) => 6,
            Self::Found(_) => 7,
        }
    }

    /// What to do next, where there is something to say that the sentence itself does not.
    #[must_use]
    pub fn next_step(&self) -> Option<&'static str> {
        match self {
            Self::Client(ClientError::Unreachable { .. }) => {
                Some("Is musterd running, and is the address in `muster profile show` right?")
            }
            Self::Client(ClientError::NotTrusted { .. }) => {
                Some("Nothing was sent. Compare the root fingerprint in `muster profile show` with the site's own.")
            }
            Self::Client(ClientError::Refused(problem)) => match problem.code {
                Code::Forbidden => Some("A full administrator can do this, or give you the role."),
                Code::Unauthenticated | Code::SignInInvalid => {
                    Some("Sign in with `muster login`; a full administrator adds a key with `muster admin create`.")
                }
                Code::Changed => Some("Somebody changed it meanwhile: look again, and decide again."),
                Code::ContentMissing => Some("`muster application add` uploads what is missing."),
                Code::AuthorUnknown => Some(
                    "The trust bundle names the authors; sign with a key of one of them, by `muster application sign`.",
                ),
                _ => None,
            },
            Self::NotSignedIn(_) => Some("`muster profile add --help` says how to make a profile."),
            _ => None,
        }
    }
}
