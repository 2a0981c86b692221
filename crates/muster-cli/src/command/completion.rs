//! `muster completion`: scripts for shells.

use super::Cli;
use crate::{CliError, output::Output};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

#[derive(Debug, Args)]
pub(super) struct Completion {
    /// The shell
    shell: Shell,
}

impl Completion {
    pub(super) fn run(self) -> Result<(), CliError> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "muster", &mut script);
        Output { json: false }.line(String::from_utf8_lossy(&script).trim_end())
    }
}
