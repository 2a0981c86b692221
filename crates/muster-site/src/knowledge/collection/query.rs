//! What collections want of queries: whether one can be asked at all, what it asks about, and whom it gives.

use super::{
    graph::Scope,
    index::{self, Plan},
    known, load,
};
use crate::{Site, SiteError};
use muster_model::{
    api::CollectionKind,
    id::CollectionId,
    time::UnixMillis,
    wql::{self, Checked, Schema, schema::Role},
};
use muster_store::{
    StoreError,
    db::{
        Leave,
        device_change::{SYSTEM, USER, USER_GROUP},
        wql as store,
    },
};
use roaring::RoaringBitmap;
use std::{collections::BTreeSet, time::Duration};

/// A query that takes longer has failed: nobody comes into its collection by it.
const TIME: Duration = Duration::from_secs(60);
/// Attributes of a system that the site gives; of the others a device decides by what it says of itself.
const ESTABLISHED: [&str; 8] = [
    "ResourceID",
    "ResourceType",
    "SMSUniqueIdentifier",
    "CreationDate",
    "Client",
    "Decommissioned",
    "SMSAssignedSites",
    "SMSInstalledSites",
];

/// What a query asks about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asks {
    /// Classes; `None`: any change may matter.
    pub(super) classes: Option<BTreeSet<String>>,
    /// Collections.
    pub(super) collections: Vec<CollectionId>,
    /// Whether all that decides is what the site itself knows, and nothing that a device says of itself.
    pub(super) established: bool,
    /// Whether a device is given by what is known of it alone.
    pub(super) of_each: bool,
    /// Whether time alone may bring devices in or take them out.
    pub(super) by_time: bool,
}

fn read(schema: &Schema, text: &str) -> Result<Checked, String> {
    let shown = |error: wql::WqlError| {
        let (line, column) = error.span.line_and_column(text);
        format!("line {line}, column {column}: {}", error.message)
    };
    let checked = wql::parse(text).and_then(|parsed| wql::check(&parsed, schema)).map_err(shown)?;
    checked.rule().map_err(shown)?;
    Ok(checked)
}

/// Whether a query gives what a collection of this kind holds; else why not.
pub(super) fn gives(site: &Site, text: &str, kind: CollectionKind) -> Result<(), String> {
    let checked = read(&Schema::of(&site.catalogue.load()), text)?;
    let users = matches!(checked.rule().map_err(|error| error.message)?, Role::User | Role::UserGroup);
    match kind {
        CollectionKind::Device if users => {
            Err("a collection of devices takes devices, and this query gives users".to_owned())
        }
        CollectionKind::User if !users => {
            Err("a collection of users takes users and groups, and this query gives devices".to_owned())
        }
        _ => Ok(()),
    }
}

/// What a query asks about; or why it cannot be asked.
pub(super) fn asks(site: &Site, text: &str) -> Result<Asks, String> {
    asks_of(&read(&Schema::of(&site.catalogue.load()), text)?)
}

/// What a query that was saved asks about, also where a class of it was retired since.
pub(super) fn asked(site: &Site, text: &str) -> Result<Asks, String> {
    asks_of(&read(&Schema::with_retired(&site.catalogue.load()), text)?)
}

fn asks_of(checked: &Checked) -> Result<Asks, String> {
    let named = checked.select.collections().ok_or("it does not say of which collections it asks for members")?;
    let collections = named.iter().map(|id| id.parse().map_err(|_| format!("{id} is no id of a collection")));
    let fields = checked.select.fields();
    let is_established = |role: &Role, name: &str| match role {
        Role::System => ESTABLISHED.iter().any(|known| known.eq_ignore_ascii_case(name)),
        Role::Members | Role::MembersOf(_) => {
            ["ResourceID", "CollectionID"].iter().any(|known| known.eq_ignore_ascii_case(name))
        }
        _ => false,
    };
    let is_known = |role: &Role| matches!(role, Role::System | Role::Members | Role::MembersOf(_));
    // Whether a system is the newest of several is said by the others.
    let by_others =
        |name: &str| ["Active", "Obsolete", "IsActive", "IsObsolete"].iter().any(|one| one.eq_ignore_ascii_case(name));
    let classes = classes(checked);
    let mut by_time = classes.is_none();
    checked.select.tests(&mut |test| by_time |= test.asks_time());
    Ok(Asks {
        classes,
        by_time,
        collections: collections.collect::<Result<_, _>>()?,
        // A class of the inventory that is only counted or joined says something as well.
        established: checked.roles().iter().all(is_known)
            && fields.iter().all(|field| is_established(&field.class.role, &field.attribute.name)),
        of_each: checked.select.is_of_each() && !fields.iter().any(|field| by_others(&field.attribute.name)),
    })
}

/// The classes in which a change of a device matters.
fn classes(checked: &Checked) -> Option<BTreeSet<String>> {
    let mut classes = BTreeSet::new();
    for role in checked.roles() {
        match role {
            Role::System => drop(classes.insert(SYSTEM.to_owned())),
            Role::Inventory(class) => drop(classes.insert(class)),
            Role::User => drop(classes.insert(USER.to_owned())),
            Role::UserGroup => drop(classes.insert(USER_GROUP.to_owned())),
            Role::UnknownSystem | Role::Members | Role::MembersOf(_) => {}
            // Made of whatever the site knows of a device.
            Role::Other => return None,
        }
    }
    // Some attributes of a system, and of a member, come from its inventory.
    for field in checked.select.fields() {
        if matches!(field.class.role, Role::System | Role::Members | Role::MembersOf(_)) {
            let name = match field.attribute.name.as_str() {
                "DeviceOS" => "OperatingSystemNameandVersion",
                "Domain" => "ResourceDomainORWorkgroup",
                name => name,
            };
            classes.extend(index::behind(name).iter().map(|class| (*class).to_owned()));
        }
    }
    Some(classes)
}

/// What a query means for the index; or why it is asked of the database.
pub(super) fn planned(site: &Site, text: &str) -> Result<Plan, String> {
    index::plan(&read(&Schema::of(&site.catalogue.load()), text)?)
}

/// Whom a query gives, of those in the scope; the inner error: it cannot be asked any more. What takes too long is stopped by the
/// database itself, so that no reader goes on with it.
pub(super) async fn members(
    site: &Site,
    text: &str,
    now: UnixMillis,
    scope: &Scope,
    leave: &Leave,
) -> Result<Result<RoaringBitmap, String>, SiteError> {
    let checked = match read(&Schema::of(&site.catalogue.load()), text) {
        Ok(checked) => checked,
        Err(reason) => return Ok(Err(reason)),
    };
    let only: Option<Vec<i64>> = match scope {
        Scope::All => None,
        Scope::Only(only) => Some(only.iter().map(i64::from).collect()),
    };
    let found =
        store::members_within(&site.store, &checked, known::clock(now), only.as_deref(), TIME, leave.clone()).await;
    match found {
        Ok(Some(found)) => Ok(Ok(load::set(found)?)),
        Ok(None) => Ok(Err(format!("it took longer than {} s", TIME.as_secs()))),
        // What the database refuses of one rule is that rule's error, and no other collection's.
        Err(StoreError::Database(error)) if error.as_database_error().is_some() => {
            Ok(Err(format!("the database refuses it: {error}")))
        }
        Err(error) => Err(error.into()),
    }
}
