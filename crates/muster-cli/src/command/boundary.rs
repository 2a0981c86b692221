//! `muster boundary`: where devices can be.

use super::{Context, Part, ask::confirm};
use crate::{CliError, output, when};
use clap::{Args, Subcommand};
use muster_model::{
    api::{BoundaryKind, BoundarySet},
    id::{BoundaryId, Name},
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List boundaries
    List(Part),
    /// Add a boundary; put it into a group with `muster boundary-group`
    Add(Wanted),
    /// Change a boundary
    Change {
        /// Id of the boundary
        id: BoundaryId,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Remove a boundary, from its groups as well
    Remove {
        /// Id of the boundary
        id: BoundaryId,
    },
}

#[derive(Debug, Args)]
pub(super) struct Wanted {
    /// What people call it
    #[arg(long)]
    name: Name,
    /// ip_subnet, ip_range, ipv6_prefix or directory_site
    #[arg(long)]
    kind: BoundaryKind,
    /// 10.1.2.0/24, 10.1.2.10-10.1.2.99, 2001:db8:1::/48, or the name of a site of Active Directory
    #[arg(long)]
    value: String,
}

impl Wanted {
    fn set(self) -> BoundarySet {
        BoundarySet { name: self.name, kind: self.kind, value: self.value }
    }
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::List(part) => boundary_list(ctx, part).await,
            Self::Add(wanted) => {
                let added = ctx.client().await?.boundary_add(&wanted.set()).await?;
                ctx.out.value(&added, |b| format!("Boundary {} is {}.", b.name, b.id))
            }
            Self::Change { id, wanted } => {
                let changed = ctx.client().await?.boundary_change(id, &wanted.set()).await?;
                ctx.out.value(&changed, |b| format!("Boundary {} is {} {} now.", b.name, b.kind, b.value))
            }
            Self::Remove { id } => {
                confirm(ctx, &format!("Boundary {id} goes, from its groups as well."))?;
                let removed = ctx.client().await?.boundary_remove(id).await?;
                ctx.out.value(&removed, |b| format!("Boundary {} is removed.", b.name))
            }
        }
    }
}

async fn boundary_list(ctx: &Context, part: Part) -> Result<(), CliError> {
    let page = ctx.client().await?.boundary_list(&part.query()).await?;
    ctx.out.value(&page, |page| {
        let rows = page.items.iter().map(|b| {
            [
                b.id.to_string(),
                b.name.to_string(),
                b.kind.to_string(),
                b.value.clone(),
                b.groups.len().to_string(),
                when::human(ctx.now, b.changed),
                b.changed_by.clone(),
            ]
        });
        let table = output::table(["ID", "NAME", "KIND", "VALUE", "GROUPS", "CHANGED", "BY"], rows);
        output::listed(&table, page.items.len(), page.total, page.offset, "No boundaries.")
    })
}
