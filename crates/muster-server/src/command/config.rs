//! `musterd config check` and `musterd config dump`.

use super::say;
use crate::config;
use std::{path::Path, process::ExitCode};

/// Says each problem.
pub(super) fn check(dir: &Path) -> Result<ExitCode, String> {
    let config = config::load(dir).map_err(|error| error.to_string())?;
    let problems = config::problems(&config);
    for problem in &problems {
        say(problem);
    }
    if problems.is_empty() {
        say("The configuration has no problem.");
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

/// Prints what is in force.
pub(super) fn dump(dir: &Path) -> Result<ExitCode, String> {
    let config = config::load(dir).map_err(|error| error.to_string())?;
    let text = toml::to_string_pretty(&config.without_secrets()).map_err(|error| error.to_string())?;
    say(text.trim_end());
    Ok(ExitCode::SUCCESS)
}
