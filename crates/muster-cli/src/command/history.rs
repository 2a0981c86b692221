//! `muster device history` and `muster device compare`: how the inventory of a device changed.

use super::{
    Context, Part, find,
    inventory::{rows, written},
};
use crate::{
    CliError, output,
    when::{self, Moment, parse_moment},
};
use clap::Args;
use muster_model::{
    api::{ClassComparison, CompareQuery, DeviceComparison, HistoryQuery, MomentQuery, SectionChange},
    inventory::Row,
};

#[derive(Debug, Args)]
pub(super) struct History {
    /// Device id or host name
    device: String,
    /// Only this class, for example INSTALLED_SOFTWARE
    #[arg(long)]
    class: Option<String>,
    /// Show the rows of the class as they were then: -7d, 2026-12-01T10:00
    #[arg(long, value_name = "MOMENT", requires = "class", allow_hyphen_values = true, value_parser = parse_moment)]
    at: Option<Moment>,
    #[command(flatten)]
    part: Part,
}

#[derive(Debug, Args)]
pub(super) struct Compare {
    /// Device id or host name
    device: String,
    /// The earlier moment: -7d, 2026-12-01T10:00
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true, value_parser = parse_moment)]
    from: Moment,
    /// The later moment
    #[arg(long, value_name = "MOMENT", default_value = "now", allow_hyphen_values = true, value_parser = parse_moment)]
    to: Moment,
    /// Only this class, for example INSTALLED_SOFTWARE
    #[arg(long)]
    class: Option<String>,
}

impl History {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        let client = ctx.client().await?;
        let id = find::device(&client, &self.device).await?;
        let page = self.part.query();
        if let (Some(class), Some(moment)) = (&self.class, self.at) {
            let wanted = MomentQuery { at: moment.at(ctx.now), offset: page.offset, limit: page.limit };
            let found = client.history_show(id, class, &wanted).await?;
            return ctx.out.value(&found, |found| {
                output::listed(&rows(found), found.rows.len(), found.total, page.offset, "No rows.")
            });
        }
        let class = self.class.unwrap_or_default();
        let wanted = HistoryQuery { class, offset: page.offset, limit: page.limit };
        let history = client.history_list(id, &wanted).await?;
        ctx.out.value(&history, |history| {
            let table = output::table(["WHEN", "CLASS", "CHANGE"], history.items.iter().map(line));
            let none = format!("Nothing changed in the last {} days.", history.kept_days);
            output::listed(&table, history.items.len(), history.total, history.offset, &none)
        })
    }
}

fn line(change: &SectionChange) -> [String; 3] {
    let what = match change {
        SectionChange { first: true, added, .. } => format!("reported for the first time, {added} rows"),
        SectionChange { added, removed, .. } => format!("+{added} -{removed}"),
    };
    [when::full(change.time), change.class.clone(), what]
}

impl Compare {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        let client = ctx.client().await?;
        let id = find::device(&client, &self.device).await?;
        let (from, to) = (self.from.at(ctx.now), self.to.at(ctx.now));
        let wanted = CompareQuery { from, to, class: self.class.unwrap_or_default() };
        let comparison = client.history_compare(id, &wanted).await?;
        ctx.out.value(&comparison, shown)
    }
}

/// The differences, as `diff` writes them: what went with a minus, what came with a plus.
fn shown(comparison: &DeviceComparison) -> String {
    let mut text = format!("{}  to  {}\n", when::full(comparison.from), when::full(comparison.to));
    if comparison.classes.is_empty() && comparison.unknown.is_empty() {
        text.push_str("Nothing is different.\n");
    }
    for class in &comparison.classes {
        let count = |rows: Option<u64>| rows.map_or_else(|| "not reported".to_owned(), |rows| format!("{rows} rows"));
        text.push_str(&format!("\n{}: {}, then {}\n", class.class, count(class.before), count(class.after)));
        for change in &class.changed {
            text.push_str(&format!("  ~ {}\n", title(class, &change.after)));
            for name in &class.attributes {
                let (old, new) = (cell(class, &change.before, name), cell(class, &change.after, name));
                if old != new {
                    text.push_str(&format!("      {name}: {} -> {}\n", quoted(old), quoted(new)));
                }
            }
        }
        class.removed.iter().for_each(|row| text.push_str(&format!("  - {}\n", title(class, row))));
        class.added.iter().for_each(|row| text.push_str(&format!("  + {}\n", title(class, row))));
        let shown = class.changed.len() + class.added.len() + class.removed.len();
        let more = (class.changed_total + class.added_total + class.removed_total).saturating_sub(shown as u64);
        if more > 0 {
            text.push_str(&format!("  ... and {more} more\n"));
        }
    }
    if !comparison.unknown.is_empty() {
        text.push_str(&format!("\nNot kept so far back: {}\n", comparison.unknown.join(", ")));
    }
    text.trim_end().to_owned()
}

fn cell(class: &ClassComparison, row: &Row, name: &str) -> Option<String> {
    let at = class.attributes.iter().position(|known| known == name);
    let is_date = at.and_then(|at| class.types.get(at)).is_some_and(|kind| kind == "DateTime");
    Some(output::clean(&written(row.get(name)?, is_date)))
}

fn quoted(value: Option<String>) -> String {
    value.unwrap_or_else(|| "nothing".to_owned())
}

/// The first values of a row: enough to know which it is.
fn title(class: &ClassComparison, row: &Row) -> String {
    let values = class.attributes.iter().filter_map(|name| cell(class, row, name));
    let values: Vec<String> = values.filter(|value| !value.is_empty()).take(3).collect();
    values.join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::{api::RowChange, inventory::Value, time::UnixMillis};

    #[test]
    fn differences_read_like_those_of_diff() {
        let row = |name: &str, version: &str| -> Row {
            [("Name", name), ("Version", version)].map(|(k, v)| (k.to_owned(), Value::Text(v.to_owned()))).into()
        };
        let class = ClassComparison {
            class: "INSTALLED_SOFTWARE".to_owned(),
            before: None,
            after: Some(2),
            attributes: vec!["Name".to_owned(), "Version".to_owned()],
            types: vec!["String".to_owned(), "String".to_owned()],
            changed: vec![RowChange { before: row("a", "1"), after: row("a", "2") }],
            changed_total: 1,
            added: vec![row("b\u{1b}[2J", "1")],
            added_total: 7,
            removed: vec![],
            removed_total: 0,
        };
        let moment = UnixMillis(0);
        let text =
            shown(&DeviceComparison { from: moment, to: moment, classes: vec![class], unknown: vec!["DISK".into()] });
        for part in
            ["not reported, then 2 rows", "~ a  2\n      Version: 1 -> 2", "... and 6 more", "so far back: DISK"]
        {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains('\u{1b}'));
    }
}
