//! `muster boundary-group`: which management points are near to the devices inside some boundaries.

use super::{Context, Part, ask::confirm};
use crate::{CliError, output, when};
use clap::{Args, Subcommand};
use muster_model::{
    api::BoundaryGroupSet,
    id::{BoundaryGroupId, BoundaryId, Name},
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List boundary groups
    List(Part),
    /// Add a boundary group; devices inside it use its management points first
    Add(Wanted),
    /// Change a boundary group: it has afterwards what is said here, and nothing else
    Change {
        /// Id of the boundary group
        id: BoundaryGroupId,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Remove a boundary group; its boundaries stay
    Remove {
        /// Id of the boundary group
        id: BoundaryGroupId,
    },
}

#[derive(Debug, Args)]
pub(super) struct Wanted {
    /// What people call it
    #[arg(long)]
    name: Name,
    /// Id of a boundary; as often as there are some
    #[arg(long = "boundary", value_name = "ID")]
    boundaries: Vec<BoundaryId>,
    /// Address of a management point, https://host:port; as often as there are some
    #[arg(long = "management-point", value_name = "ADDRESS")]
    management_points: Vec<String>,
}

impl Wanted {
    fn set(self) -> BoundaryGroupSet {
        let Self { name, boundaries, management_points } = self;
        BoundaryGroupSet { name, boundaries, management_points }
    }
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::List(part) => boundary_group_list(ctx, part).await,
            Self::Add(wanted) => {
                let added = ctx.client().await?.boundary_group_add(&wanted.set()).await?;
                ctx.out.value(&added, |g| format!("Boundary group {} is {}.", g.name, g.id))
            }
            Self::Change { id, wanted } => {
                let changed = ctx.client().await?.boundary_group_change(id, &wanted.set()).await?;
                ctx.out.value(&changed, |g| {
                    let (boundaries, points) = (g.boundaries.len(), g.management_points.len());
                    format!("Boundary group {} has {boundaries} boundaries and {points} management points now.", g.name)
                })
            }
            Self::Remove { id } => {
                confirm(ctx, &format!("Boundary group {id} goes; devices inside use any of the site's points."))?;
                let removed = ctx.client().await?.boundary_group_remove(id).await?;
                ctx.out.value(&removed, |g| format!("Boundary group {} is removed.", g.name))
            }
        }
    }
}

async fn boundary_group_list(ctx: &Context, part: Part) -> Result<(), CliError> {
    let page = ctx.client().await?.boundary_group_list(&part.query()).await?;
    ctx.out.value(&page, |page| {
        let rows = page.items.iter().map(|g| {
            [
                g.id.to_string(),
                g.name.to_string(),
                g.boundaries.len().to_string(),
                g.management_points.join(" "),
                when::human(ctx.now, g.changed),
                g.changed_by.clone(),
            ]
        });
        let table = output::table(["ID", "NAME", "BOUNDARIES", "MANAGEMENT POINTS", "CHANGED", "BY"], rows);
        output::listed(&table, page.items.len(), page.total, page.offset, "No boundary groups.")
    })
}
