//! `muster inventory`: what is on a device, by class.

use super::{Context, Part, find};
use crate::{CliError, output, when};
use clap::Subcommand;
use muster_model::inventory::Value;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show the classes of a device, or the rows of one class
    Show {
        /// Device id or host name
        device: String,
        /// The class, for example INSTALLED_SOFTWARE
        class: Option<String>,
        #[command(flatten)]
        part: Part,
    },
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        let Self::Show { device, class, part } = self;
        let client = ctx.client().await?;
        let id = find::device(&client, &device).await?;
        let Some(class) = class else {
            let classes = client.device_show(id).await?.value.classes;
            return ctx.out.value(&classes, |classes| {
                let rows =
                    classes.iter().map(|c| [c.class.clone(), c.rows.to_string(), when::human(ctx.now, c.changed)]);
                if classes.is_empty() {
                    "No inventory yet.".to_owned()
                } else {
                    output::table(["CLASS", "ROWS", "CHANGED"], rows)
                }
            });
        };
        let found = client.inventory_show(id, &class, &part.query()).await?;
        ctx.out.value(&found, |found| {
            let mut text = String::new();
            for row in &found.rows {
                let named = found.attributes.iter().filter_map(|name| Some((name.as_str(), written(row.get(name)?))));
                text.push_str(&output::pairs(named));
                text.push('\n');
            }
            output::listed(text.trim_end(), found.rows.len(), found.total, part.offset, "No rows.")
        })
    }
}

fn written(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Real(value) => value.to_string(),
        Value::Text(value) => value.clone(),
        Value::List(values) => values.join(", "),
    }
}
