//! `musterd openapi`.

use super::say;
use crate::http::api::openapi::description;
use std::process::ExitCode;

/// Prints the description.
pub(super) fn run() -> Result<ExitCode, String> {
    say(description().trim_end());
    Ok(ExitCode::SUCCESS)
}
