//! `muster approval`: who is approved without being asked about.

use super::{Context, ask::confirm};
use crate::{CliError, output};
use clap::Subcommand;
use muster_model::api::{Approval, ApprovalMode, ApprovalSet, TrustedDomain};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show the approval mode, what it means, and the trusted domains
    Show,
    /// Change the approval mode or the trusted domains; what is not named stays as it is
    Update {
        /// manual, trusted-domain or all
        #[arg(long, value_parser = mode)]
        mode: Option<ApprovalMode>,
        /// Trust a domain, or change what is trusted: realm, service and groups (S-1-5-21-...), with blanks between
        #[arg(long = "trust", value_name = "REALM SERVICE GROUP...")]
        trusted: Vec<TrustedDomain>,
        /// Trust this domain no more
        #[arg(long, value_name = "REALM")]
        distrust: Vec<String>,
    },
}

fn mode(text: &str) -> Result<ApprovalMode, String> {
    text.replace('-', " ").parse()
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        let client = ctx.client().await?;
        let mut approval = client.approval_show().await?;
        if let Self::Update { mode, trusted, distrust } = self {
            if mode.is_none() && trusted.is_empty() && distrust.is_empty() {
                return Err(CliError::Usage("name what changes; see --help".to_owned()));
            }
            let mode = mode.unwrap_or(approval.mode);
            let mut domains = approval.domains;
            domains.retain(|domain| !distrust.contains(&domain.realm));
            for domain in trusted {
                domains.retain(|other| other.realm != domain.realm);
                domains.push(domain);
            }
            let lines: String = domains.iter().map(|domain| format!("\nTrusted: {domain}")).collect();
            confirm(ctx, &format!("The approval mode is {mode}.{lines}\n{}", mode.warning()))?;
            let set = ApprovalSet { mode, domains, confirmed: mode == ApprovalMode::All };
            approval = client.approval_update(&set).await?;
        }
        ctx.out.value(&approval, shown)
    }
}

fn shown(approval: &Approval) -> String {
    let mut rows = vec![("Approval mode", approval.mode.to_string())];
    rows.extend(approval.domains.iter().map(|domain| ("Trusted domain", domain.to_string())));
    rows.extend(approval.without_key.iter().map(|realm| {
        ("No key", format!("{realm}: put the keytab of its service into the site's keytabs and start the server again"))
    }));
    rows.push(("To know", approval.warning.clone()));
    output::pairs(rows)
}
