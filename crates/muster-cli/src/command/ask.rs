//! Asking before something that cannot be taken back, or that reaches devices.

use super::Context;
use crate::CliError;
use std::io::{IsTerminal, Write};

/// Shows what will be done and asks. Goes on with `--yes`; refuses to guess where there is nobody to ask.
///
/// # Errors
/// [`CliError::Cancelled`].
pub(super) fn confirm(ctx: &Context, what: &str) -> Result<(), CliError> {
    if ctx.yes {
        return Ok(());
    }
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "{}", what.trim_end());
    if !std::io::stdin().is_terminal() {
        return Err(CliError::Cancelled("nobody to ask, so nothing was done; say --yes to do it".to_owned()));
    }
    let _ = write!(err, "Do it? [y/N] ");
    let _ = err.flush();
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(CliError::Output)?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(CliError::Cancelled("nothing was done".to_owned()))
}
