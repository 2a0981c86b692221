//! `muster profile`: which site, whom to believe, which key.

use super::Context;
use crate::{CliError, output, profile::ProfileDir};
use clap::Subcommand;
use muster_model::{
    id::{Hash, SiteCode},
    profile::{KEY_FILE, Profile},
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make the profile; `musterd init` makes the first administrator's
    Add {
        /// The site code, for example ABC
        #[arg(long)]
        site: SiteCode,
        /// Address of the administrators' API: https://host:port
        #[arg(long)]
        address: String,
        /// Fingerprint of the trusted root key, from somebody you believe
        #[arg(long, value_name = "SHA-256")]
        root: Hash,
        /// The key file, in the profile's directory or with its whole path
        #[arg(long, default_value = KEY_FILE, value_name = "FILE")]
        key: String,
        /// Another key for signing applications
        #[arg(long, value_name = "FILE")]
        author_key: Option<String>,
    },
    /// Show the profile
    Show,
}

impl Verb {
    pub(super) fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::Add { site, address, root, key, author_key } => {
                let absolute = |file: &std::path::PathBuf| {
                    let whole = std::path::absolute(file).map_err(|e| CliError::file(file, e))?;
                    Ok::<_, CliError>(whole.display().to_string())
                };
                let passphrase_file = ctx.passphrase_file.as_ref().map(absolute).transpose()?;
                let profile = Profile { site, address, root, key, author_key, passphrase_file };
                let made = ProfileDir { dir: ctx.dir.clone(), profile, passphrase_file: None };
                let path = made.write(true)?;
                ctx.out.value(&made.profile, |_| format!("{} is written. Next: `muster login`.", path.display()))
            }
            Self::Show => {
                let found = ctx.profile()?;
                ctx.out.value(&found.profile, |p| {
                    output::pairs([
                        ("Directory", found.dir.display().to_string()),
                        ("Site", p.site.to_string()),
                        ("Address", p.address.clone()),
                        ("Root key", p.root.to_string()),
                        ("Key", p.key.clone()),
                        ("Author key", p.author_key.clone().unwrap_or_else(|| "the same".to_owned())),
                        ("Passphrase", p.passphrase_file.clone().unwrap_or_else(|| "asked for".to_owned())),
                    ])
                })
            }
        }
    }
}
