//! `muster issuer`: CAs of the enterprise whose client certificates count.

use super::{Context, ask::confirm};
use crate::{CliError, output, when};
use clap::{Args, Subcommand};
use muster_model::{
    api::{Issuer, IssuerAdd, IssuerCriteria, Reason},
    id::Hash,
};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List the issuers, their revocation lists, and what is wrong with them
    List,
    /// Let the client certificates of a CA count; they let nobody in without an approval
    Add(Add),
    /// Let the certificates of a CA count no more; devices that talk with them are shut out at once
    Remove {
        /// Issuer: SHA-256 of its public key in DER, 64 hexadecimal digits
        id: Hash,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// File with the CA's own certificate: the one that signs the machines' certificates
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// Where its revocation list is: http://host/path
    #[arg(long, value_name = "URL")]
    list: String,
    /// Hours after its end for which a list is still believed: 0 to 168
    #[arg(long, value_name = "HOURS", default_value_t = 0)]
    grace: u32,
    /// An attribute that the subject must have, such as OU=Workstations; may be said several times, and all must be there
    #[arg(long, value_name = "ATTRIBUTE=VALUE")]
    subject: Vec<String>,
    /// A name that the certificate must have, such as dns:*.corp.example; of several, one must be there
    #[arg(long, value_name = "KIND:NAME")]
    san: Vec<String>,
    /// An extended key usage that it must have beside clientAuth, as dotted identifier; all must be there
    #[arg(long, value_name = "OID")]
    eku: Vec<String>,
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::List => issuer_list(ctx).await,
            Self::Add(add) => add.run(ctx).await,
            Self::Remove { id, reason } => {
                confirm(ctx, &format!("Certificates of issuer {id} count no more, and their devices are shut out."))?;
                let removed = ctx.client().await?.issuer_remove(id, &Reason { reason }).await?;
                ctx.out.value(&removed, |i| {
                    format!("{} is no issuer any more; {} devices are shut out.", i.name, i.devices)
                })
            }
        }
    }
}

impl Add {
    async fn run(self, ctx: &Context) -> Result<(), CliError> {
        let request = IssuerAdd {
            certificate: crate::files::read_text(&self.certificate)?,
            criteria: IssuerCriteria { subject: self.subject, san: self.san, eku: self.eku },
            list_url: self.list,
            grace_hours: self.grace,
        };
        confirm(
            ctx,
            "Whoever controls this CA can name any key as that of an enrolled device's subject. Such a certificate lets nobody in \
             by itself: each device is still approved, and goes on with another certificate only by a statement of its own key.",
        )?;
        let added = ctx.client().await?.issuer_add(&request).await?;
        ctx.out.value(&added, |i| {
            format!(
                "{} is an issuer now, id {}. Its certificates count when its revocation list was fetched.",
                i.name, i.id
            )
        })
    }
}

async fn issuer_list(ctx: &Context) -> Result<(), CliError> {
    let page = ctx.client().await?.issuer_list().await?;
    ctx.out.value(&page, |page| {
        let ends = |issuer: &Issuer| {
            issuer.list.as_ref().map_or_else(|| "none".to_owned(), |list| when::human(ctx.now, list.next_update))
        };
        let rows = page.items.iter().map(|issuer| {
            [
                issuer.id.to_string(),
                issuer.name.clone(),
                issuer.devices.to_string(),
                ends(issuer),
                issuer.warning.clone().unwrap_or_else(|| "none".to_owned()),
            ]
        });
        let table = output::table(["ID", "NAME", "DEVICES", "LIST ENDS", "WARNING"], rows);
        output::listed(
            &table,
            page.items.len(),
            page.total,
            page.offset,
            "There are no issuers; only the site's own certificates count.",
        )
    })
}
