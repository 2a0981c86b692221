//! Requirements: conditions in WQL on what a device's own inventory says. The device itself computes them.

use crate::{
    catalogue::Catalogue,
    id::Name,
    inventory::{self, Value},
    limits::{REQUIREMENT_BYTES, REQUIREMENT_PAIRS},
    time::UnixMillis,
    wql::{
        Checked, ErrorKind, Schema, Span, WqlError, check,
        date::Clock,
        eval::{self, Cell, Row, Rows},
        parse,
        schema::{Class, Role},
    },
};
use serde::{Deserialize, Serialize};
use std::{
    cell::Cell as Counter,
    collections::{BTreeMap, HashSet},
};

/// A condition that a device must meet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Requirement {
    /// What people call it; a device that does not meet it says this name.
    pub name: Name,
    /// A WQL query over the classes of the inventory; it is met where the query finds something.
    pub query: String,
}

/// What a device knows of itself.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Rows by the name of their class in the catalogue.
    pub classes: &'a BTreeMap<String, Vec<inventory::Row>>,
    /// This moment.
    pub now: UnixMillis,
    /// Minutes that the device's time is ahead of UTC.
    pub offset_minutes: i32,
}

/// The number of the device in its own facts.
const OWN_NUMBER: i64 = 1;

impl Requirement {
    /// Reads the query.
    ///
    /// # Errors
    /// What is wrong with it: no WQL, a class that a device has not, an attribute of `SMS_R_System` that only a site knows.
    pub fn check(&self) -> Result<Checked, WqlError> {
        let whole = Span::new(0, self.query.len());
        if self.query.len() > REQUIREMENT_BYTES {
            let message = format!("a requirement has at most {REQUIREMENT_BYTES} bytes");
            return Err(WqlError::new(ErrorKind::TooLarge, message, whole));
        }
        let checked = check(&parse(&self.query)?, Schema::built_in())?;
        let foreign = checked.roles().into_iter().any(|role| !matches!(role, Role::System | Role::Inventory(_)));
        if foreign || checked.select.count.is_some() {
            let message = "a requirement selects rows of SMS_R_System and of classes of the inventory, and counts none";
            return Err(WqlError::new(ErrorKind::Meaning, message, checked.select.from_span));
        }
        let of_site =
            |class: &Class, name: &str| class.role == Role::System && !name.eq_ignore_ascii_case("ResourceID");
        if let Some(field) = checked.select.fields().into_iter().find(|f| of_site(&f.class, &f.attribute.name)) {
            let name = &field.attribute.name;
            let message =
                format!("a device does not know {name} of SMS_R_System; of that class it has ResourceID only");
            return Err(WqlError::new(ErrorKind::Meaning, message, checked.select.from_span));
        }
        Ok(checked)
    }

    /// Whether a device with these facts meets it.
    ///
    /// # Errors
    /// As [`Requirement::check`]; [`ErrorKind::TooLarge`] too where it joins more rows than are looked at.
    pub fn is_met(&self, facts: Facts<'_>) -> Result<bool, WqlError> {
        let checked = self.check()?;
        let wanted = checked.select.fields().into_iter().map(|field| field.attribute.name.clone()).collect();
        let own = Own { facts, wanted };
        let pairs = Counter::new(1_usize);
        checked.select.visit(&mut |select| {
            let of = |class: &Class| own.count(class).max(1);
            let product = select.sources.iter().fold(pairs.get(), |all, s| all.saturating_mul(of(&s.class)));
            pairs.set(product);
        });
        if pairs.get() > REQUIREMENT_PAIRS {
            let message = format!("it joins more than {REQUIREMENT_PAIRS} rows on this device");
            return Err(WqlError::new(ErrorKind::TooLarge, message, checked.select.from_span));
        }
        let clock = Clock { now: facts.now, offset_minutes: facts.offset_minutes };
        Ok(eval::first(&checked, &own, clock).is_some())
    }
}

struct Own<'a> {
    facts: Facts<'a>,
    /// The attributes that decide; the others are not copied.
    wanted: HashSet<String>,
}

impl Own<'_> {
    fn count(&self, class: &Class) -> usize {
        match &class.role {
            Role::Inventory(name) => self.facts.classes.get(name).map_or(0, Vec::len),
            _ => 1,
        }
    }

    fn row(&self, class: &Class, row: &inventory::Row) -> Row {
        let mut found = Row::from([("ResourceID".to_owned(), Cell::Int(OWN_NUMBER))]);
        for attribute in class.attributes.iter().filter(|attribute| self.wanted.contains(&attribute.name)) {
            if let Some(value) = row.get(&attribute.name) {
                found.insert(attribute.name.clone(), cell(value));
            }
        }
        found
    }
}

impl Rows for Own<'_> {
    fn rows(&self, class: &Class) -> Vec<Row> {
        match &class.role {
            Role::System => vec![Row::from([("ResourceID".to_owned(), Cell::Int(OWN_NUMBER))])],
            Role::Inventory(name) if Catalogue::built_in().class(name).is_some() => {
                let rows = self.facts.classes.get(name).map(Vec::as_slice).unwrap_or_default();
                rows.iter().map(|row| self.row(class, row)).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn cell(value: &Value) -> Cell {
    match value {
        Value::Bool(truth) => Cell::Int(i64::from(*truth)),
        Value::Int(number) => Cell::Int(*number),
        Value::Real(number) => Cell::Real(*number),
        Value::Text(text) => Cell::Text(text.clone()),
        Value::List(texts) => Cell::List(texts.iter().cloned().map(Cell::Text).collect()),
    }
}
