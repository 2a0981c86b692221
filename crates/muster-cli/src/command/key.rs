//! `muster key`: keys are made here, by the person who will use them.

use super::Context;
use crate::{
    CliError, files,
    key::{self, Passphrase},
    output,
};
use clap::Subcommand;
use muster_model::profile::KEY_FILE;
use muster_trust::PublicKey;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make a key, encrypted with a passphrase, and its public half in <FILE>.pub
    Create {
        /// Where [default: admin.key.pem in the profile's directory]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Show the id of a public key
    Show {
        /// File with a public key (PEM)
        file: PathBuf,
    },
}

#[derive(serde::Serialize)]
struct Shown {
    key: muster_model::id::Hash,
    public_key: String,
    file: PathBuf,
}

impl Verb {
    pub(super) fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::Create { out } => {
                let file = match out {
                    Some(file) => file,
                    None => {
                        std::fs::create_dir_all(&ctx.dir).map_err(|e| CliError::file(&ctx.dir, e))?;
                        ctx.dir.join(KEY_FILE)
                    }
                };
                let passphrase = ctx.passphrase_file.as_deref().map_or(Passphrase::Prompt, Passphrase::File);
                let key = key::create(&file, passphrase)?;
                let shown = Shown { key: key.public().id(), public_key: key.public().pem(), file };
                ctx.out.value(&shown, |s| {
                    format!(
                        "{}\nGive {}.pub to a full administrator, for `muster admin create`.\n\
                         Keep a copy of {} and its passphrase: nobody can make it again.",
                        output::pairs([("Key", s.key.to_string())]),
                        s.file.display(),
                        s.file.display()
                    )
                })
            }
            Self::Show { file } => {
                let pem = files::read_text(&file)?;
                let key = PublicKey::from_pem(&pem).map_err(|e| CliError::file(&file, e))?;
                let shown = Shown { key: key.id(), public_key: key.pem(), file };
                ctx.out.value(&shown, |s| s.key.to_string())
            }
        }
    }
}
