//! Why a query gives a device: the row that it found; or why it does not: the part of it that does not hold.

use super::known;
use crate::{Site, SiteError};
use muster_model::{
    time::UnixMillis,
    wql::{
        self, Checked, Parsed, Schema,
        eval::{self, Cell, Row},
        schema::{Class, Role, Shape},
        tree::{Condition, Query},
    },
};
use muster_store::db::{Leave, wql as store};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

/// Rows of one class of one device that are looked at.
const ROWS: u32 = 5_000;
/// Pairs of rows that are looked at.
const PAIRS: usize = 50_000;
/// Attributes of a row that are shown, and characters of each.
const SHOWN: usize = 40;
/// Characters of a value or a part of a query that are shown.
const CHARS: usize = 300;
/// How long may be read.
const TIME: Duration = Duration::from_secs(10);

/// A reason.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Why {
    /// The end of a sentence, without its full stop.
    pub(super) text: String,
    /// The row.
    pub(super) row: BTreeMap<String, String>,
}

/// The rows of one device.
struct Rows(HashMap<String, Vec<Row>>);

impl eval::Rows for Rows {
    fn rows(&self, class: &Class) -> Vec<Row> {
        self.0.get(&class.name).cloned().unwrap_or_default()
    }
}

struct Asker<'a> {
    site: &'a Site,
    schema: &'a Schema,
    now: UnixMillis,
    resource: u32,
    leave: &'a Leave,
}

/// Why a query gives a device, or does not. `None`: it is not known, because the query compares devices with each other or there is
/// too much to look at.
///
/// # Errors
/// When the store fails.
pub(super) async fn why(
    (site, leave): (&Site, &Leave),
    text: &str,
    now: UnixMillis,
    resource: u32,
    holds: bool,
) -> Result<Option<Why>, SiteError> {
    let catalogue = site.catalogue.load_full();
    let schema = Schema::of(&catalogue);
    let Ok(parsed) = wql::parse(text) else { return Ok(None) };
    let Ok(checked) = wql::check(&parsed, &schema) else { return Ok(None) };
    if !checked.select.is_of_each() {
        return Ok(None);
    }
    let asker = Asker { site, schema: &schema, now, resource, leave };
    let Some(rows) = asker.rows(&checked).await? else { return Ok(None) };
    Ok(if holds { asker.found(&checked, &rows) } else { Some(asker.missing(&parsed.query, &rows)) })
}

impl Asker<'_> {
    async fn rows(&self, checked: &Checked) -> Result<Option<Rows>, SiteError> {
        let mut all = HashMap::new();
        let mut pairs: usize = 1;
        for name in checked.classes() {
            let Some(class) = self.schema.class(&name).filter(|class| class.attribute("ResourceID").is_some()) else {
                continue;
            };
            let text = format!("select * from {name} where ResourceID = {}", self.resource);
            let Ok(query) = wql::parse(&text).and_then(|parsed| wql::check(&parsed, self.schema)) else { continue };
            let found =
                store::run(&self.site.store, &query, known::clock(self.now), ROWS, TIME, self.leave.clone()).await?;
            let Some(table) = found.filter(|table| table.complete) else { return Ok(None) };
            pairs = pairs.saturating_mul(table.rows.len().max(1));
            let row = |values: Vec<Option<Cell>>| {
                let outputs = query.select.outputs.iter().zip(values);
                outputs
                    .filter_map(|(output, value)| {
                        Some((output.field.attribute.name.clone(), of_shape(output.field.attribute.shape, value?)))
                    })
                    .collect()
            };
            all.insert(class.name.clone(), table.rows.into_iter().map(row).collect());
        }
        Ok((pairs <= PAIRS).then_some(Rows(all)))
    }

    /// The rows by which a query gives the device.
    fn found(&self, checked: &Checked, rows: &Rows) -> Option<Why> {
        let found = eval::first(checked, rows, known::clock(self.now))?;
        let sources = checked.select.sources.iter().filter(|source| source.class.role != Role::System);
        let joined: Vec<(&Class, &Row)> =
            sources.filter_map(|source| Some((source.class.as_ref(), found.get(&source.id)?.as_ref()?))).collect();
        let mut why = Why::default();
        if joined.is_empty() {
            // Nothing but the system itself: what is asked about it.
            let system = found.get(&checked.select.sources[0].id)?.as_ref()?;
            let asked: Vec<&str> = checked.select.fields().iter().map(|field| field.attribute.name.as_str()).collect();
            let asked = system.iter().filter(|(name, _)| asked.contains(&name.as_str()));
            why.row.extend(asked.take(SHOWN).map(|(name, value)| (name.clone(), shown(value))));
            return Some(why);
        }
        let names: Vec<&str> = joined.iter().map(|(class, _)| class.name.as_str()).collect();
        why.text = format!("by this row of {}", names.join(" and "));
        for (class, row) in &joined {
            let short = class.name.strip_prefix("SMS_G_System_").unwrap_or(&class.name);
            let name = |name: &str| if joined.len() > 1 { format!("{short}.{name}") } else { name.to_owned() };
            let mut attributes: Vec<_> = row.iter().filter(|(name, _)| *name != "ResourceID").collect();
            attributes.sort_by_key(|(name, _)| class.attributes.iter().position(|a| a.name == **name));
            why.row.extend(attributes.into_iter().take(SHOWN).map(|(own, value)| (name(own), shown(value))));
        }
        Some(why)
    }

    /// Whether the device is given by a query.
    fn gives(&self, query: &Query, rows: &Rows) -> Option<(Checked, bool)> {
        let parsed = Parsed::of(query.clone());
        let checked = wql::check(&parsed, self.schema).ok()?;
        let gives = eval::first(&checked, rows, known::clock(self.now)).is_some();
        Some((checked, gives))
    }

    /// What keeps a query from giving the device.
    fn missing(&self, query: &Query, rows: &Rows) -> Why {
        let text = |text: String| Why { text, row: BTreeMap::new() };
        let without = Query { condition: None, ..query.clone() };
        if let Some((checked, false)) = self.gives(&without, rows) {
            let empty =
                checked.select.sources.iter().find(|source| rows.0.get(&source.class.name).is_none_or(Vec::is_empty));
            return match empty {
                Some(source) => text(format!("it has no row of {}", source.class.name)),
                None => text("no rows of it belong together as the joins want them".to_owned()),
            };
        }
        for part in query.condition.iter().flat_map(parts) {
            let alone = Query { condition: Some(part.clone()), ..query.clone() };
            if !matches!(self.gives(&alone, rows), Some((_, false))) {
                continue;
            }
            let mut why = text(format!("it is not so that {}", cut(&part.to_string())));
            if let Condition::InSelect { negated: true, select, .. } = part
                && let Some((inner, true)) = self.gives(select, rows)
                && let Some(found) = self.found(&inner, rows)
            {
                why.row = found.row;
                if !found.text.is_empty() {
                    why.text.push_str(&format!(" ({})", found.text));
                }
            }
            return why;
        }
        text("each part of its condition holds for some row, and all of them for none".to_owned())
    }
}

/// What must hold, part by part.
fn parts(condition: &Condition) -> Vec<&Condition> {
    match condition {
        Condition::And(inner) => inner.iter().flat_map(parts).collect(),
        other => vec![other],
    }
}

/// Several values that came as one text.
fn of_shape(shape: Shape, value: Cell) -> Cell {
    match (shape, value) {
        (Shape::Many, Cell::Text(text)) => {
            Cell::List(text.split(',').map(|part| Cell::Text(part.to_owned())).collect())
        }
        (_, value) => value,
    }
}

fn cut(text: &str) -> String {
    let mut cut: String = text.chars().take(CHARS).collect();
    if cut.len() < text.len() {
        cut.push_str("...");
    }
    cut
}

fn shown(value: &Cell) -> String {
    match value {
        Cell::Text(text) => cut(text),
        Cell::Int(number) => number.to_string(),
        Cell::Real(number) => number.to_string(),
        Cell::List(list) => cut(&list.iter().map(shown).collect::<Vec<_>>().join(", ")),
    }
}
