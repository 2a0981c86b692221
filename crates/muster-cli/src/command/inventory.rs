//! `muster inventory`: what is on a device, by class.

use super::{Context, Part, find};
use crate::{CliError, output, when};
use clap::Subcommand;
use muster_model::{
    api::ClassRows,
    inventory::{Row, Value},
    time::UnixMillis,
};

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
        ctx.out
            .value(&found, |found| output::listed(&rows(found), found.rows.len(), found.total, part.offset, "No rows."))
    }
}

/// Attributes that fit beside each other; a class with more is written one attribute a line.
const COLUMNS: usize = 8;

pub(super) fn rows(found: &ClassRows) -> String {
    let cell = |row: &Row, name: &str| {
        let at = found.attributes.iter().position(|known| known == name);
        let is_date = at.and_then(|at| found.types.get(at)).is_some_and(|kind| kind == "DateTime");
        Some(written(row.get(name)?, is_date))
    };
    if found.rows.len() > 1 && found.attributes.len() <= COLUMNS {
        let line = |row| found.attributes.iter().map(|name| cell(row, name).unwrap_or_default()).collect::<Vec<_>>();
        return output::wide_table(&found.attributes, found.rows.iter().map(line));
    }
    let mut text = String::new();
    for row in &found.rows {
        text.push_str(&output::pairs(
            found.attributes.iter().filter_map(|name| Some((name.as_str(), cell(row, name)?))),
        ));
        text.push('\n');
    }
    text.trim_end().to_owned()
}

pub(super) fn written(value: &Value, is_date: bool) -> String {
    match value {
        Value::Int(moment) if is_date => when::full(UnixMillis(*moment)),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Real(value) => value.to_string(),
        Value::Text(value) => value.clone(),
        Value::List(values) => values.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_attributes_stand_beside_each_other_and_dates_are_dates() {
        let row = |name: &str| {
            Row::from([
                ("ProductName".to_owned(), Value::Text(name.to_owned())),
                ("InstallDate".to_owned(), Value::Int(86_400_000)),
            ])
        };
        let attributes = ["ProductName", "InstallDate"].map(str::to_owned).to_vec();
        let types = ["String", "DateTime"].map(str::to_owned).to_vec();
        let class = "INSTALLED_SOFTWARE".to_owned();
        let one = ClassRows { class, attributes, types, rows: vec![row("a")], total: 1 };
        assert!(rows(&one).starts_with("ProductName  a\nInstallDate  1970-01-0"), "{}", rows(&one));
        let two = ClassRows { rows: vec![row("a"), row("b")], total: 2, ..one };
        let text = rows(&two);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines.len() == 3 && lines[0].starts_with("ProductName") && lines[2].starts_with('b'), "{text}");
    }
}
