//! Which deployment type devices would take, by what the site knows of them. The device itself decides, over what it is then; this is
//! a look at the first devices of a target, so that a what-if over many costs no more than one over a few.

use crate::{Site, SiteError};
use muster_model::{
    api::{Target, TypePreview},
    application::{Application, Facts, Platform},
    catalogue::Catalogue,
    inventory,
    limits::{INVENTORY_ROWS_LOOKED_AT, TYPE_PREVIEW_DEVICES},
    time::UnixMillis,
    wql::schema::Role,
};
use muster_store::{
    Connection,
    db::{deployment, inventory as stored},
};
use std::collections::{BTreeMap, BTreeSet};

/// The class that says which system a device has.
const SYSTEM: &str = "OPERATING_SYSTEM";

/// The types in their order, each with how many of the devices that were looked at would take it; and a sentence of the others.
pub(super) async fn types(
    site: &Site,
    conn: &mut Connection,
    application: &Application,
    target: Target,
    now: UnixMillis,
) -> Result<(Vec<TypePreview>, Option<String>), SiteError> {
    if application.types.is_empty() {
        return Ok((Vec::new(), None));
    }
    let each = application.each_type();
    let names: Vec<_> = application.type_names().map(std::borrow::Cow::into_owned).collect();
    let of = |(name, one): (String, &Application)| TypePreview {
        name,
        platform: one.platform,
        content_size: one.fetched_bytes(),
        max_run_seconds: one.max_run_seconds,
        requirements: one.requirements.iter().map(|requirement| requirement.name.to_string()).collect(),
        devices: 0,
    };
    let mut types: Vec<_> = names.into_iter().zip(&each).map(of).collect();
    let (classes, mut looked, mut none, mut unknown) = (asked(&each), 0_u64, 0_u64, 0_u64);
    for device in deployment::first(conn, target, TYPE_PREVIEW_DEVICES).await? {
        looked += 1;
        let mut facts = BTreeMap::new();
        for name in &classes {
            let Some(class) = Catalogue::built_in().class(name) else { continue };
            let found = stored::rows(conn, site.store.dialect(), device, class, 0, INVENTORY_ROWS_LOOKED_AT).await?;
            facts.extend(found.map(|(rows, _)| (name.clone(), rows)));
        }
        match taken(&each, &facts, now) {
            Taken::One(place) => types[place].devices += 1,
            Taken::None => none += 1,
            Taken::Unknown => unknown += 1,
        }
    }
    let said = (looked > 0).then(|| {
        let counts: Vec<_> = types.iter().map(|one| format!("{} {}", one.name, one.devices)).collect();
        format!(
            "By what the site knows of the first {looked} device(s), they would take: {}; none {none}; not known {unknown}.",
            counts.join(", ")
        )
    });
    Ok((types, said))
}

/// The classes that requirements ask about, and the one that says which system it is.
fn asked(types: &[Application]) -> BTreeSet<String> {
    let queries = types.iter().flat_map(|one| &one.requirements).filter_map(|requirement| requirement.check().ok());
    let classes = queries.flat_map(|checked| checked.roles()).filter_map(|role| match role {
        Role::Inventory(name) => Some(name),
        _ => None,
    });
    classes.chain([SYSTEM.to_owned()]).collect()
}

#[derive(Debug, PartialEq, Eq)]
enum Taken {
    One(usize),
    None,
    /// Nothing was reported yet that would say it.
    Unknown,
}

fn platform(facts: &BTreeMap<String, Vec<inventory::Row>>) -> Option<Platform> {
    let inventory::Value::Text(caption) = facts.get(SYSTEM)?.first()?.get("Caption")? else { return None };
    let is = |word: &str| caption.to_ascii_lowercase().contains(word);
    Some(match (is("windows"), is("macos") || is("mac os")) {
        (true, _) => Platform::Windows,
        (_, true) => Platform::Macos,
        (false, false) => Platform::Linux,
    })
}

/// As a device does it.
fn taken(types: &[Application], classes: &BTreeMap<String, Vec<inventory::Row>>, now: UnixMillis) -> Taken {
    let Some(platform) = platform(classes) else { return Taken::Unknown };
    let facts = Facts { classes, now, offset_minutes: 0 };
    for (place, one) in types.iter().enumerate().filter(|(_, one)| one.platform == platform) {
        let mut met = true;
        for requirement in &one.requirements {
            match requirement.is_met(facts) {
                Ok(true) => {}
                Ok(false) => met = false,
                Err(_) => return Taken::Unknown,
            }
        }
        if met {
            return Taken::One(place);
        }
    }
    Taken::None
}
