//! What all records of a resource come to: one method says an attribute, the first in [`ORDER`] that says it at all.

use crate::SiteError;
use muster_model::{
    api::{DiscoveryMethod, ResourceKind},
    discovery::Facts,
    time::UnixMillis,
};
use muster_store::{
    Tx,
    db::{
        device_change,
        discovery::{self, RecordRow},
        resource::{self, ResourceFacts},
        resource_group,
    },
};

/// Who is believed first.
pub(super) const ORDER: [DiscoveryMethod; 5] = [
    DiscoveryMethod::Heartbeat,
    DiscoveryMethod::DirectorySystem,
    DiscoveryMethod::DirectoryUser,
    DiscoveryMethod::DirectoryGroup,
    DiscoveryMethod::Network,
];

/// What a directory may add to a client: only what a client cannot know of itself. A network adds nothing to one.
const OF_CLIENTS: [&str; 9] = [
    "DistinguishedName",
    "FullDomainName",
    "LastLogonTimestamp",
    "PrimaryGroupID",
    "SID",
    "SystemContainerName",
    "SystemOUName",
    "SystemRoles",
    "UserAccountControl",
];

/// The attributes of a resource, and its name.
pub(super) fn merged(records: &[RecordRow], client: bool) -> (String, Facts) {
    let mut facts = Facts::new();
    let mut name = None;
    for method in ORDER {
        for record in records.iter().filter(|record| record.method == method && record.gone.is_none()) {
            let may = |fact: &str| match method {
                DiscoveryMethod::Heartbeat => true,
                DiscoveryMethod::Network => !client,
                _ => !client || OF_CLIENTS.contains(&fact),
            };
            for (fact, value) in record.facts.iter().filter(|(fact, _)| may(fact)) {
                facts.entry(fact.clone()).or_insert_with(|| value.clone());
            }
            name.get_or_insert_with(|| record.name.clone());
        }
    }
    (name.unwrap_or_default(), facts)
}

/// Computes a resource anew from its records, and notes for collections that it may have changed.
pub(super) async fn settle(tx: &mut Tx, number: i64, kind: ResourceKind, now: UnixMillis) -> Result<(), SiteError> {
    let records = discovery::of_resource(tx.conn(), number).await?;
    let client = resource::client(tx.conn(), number).await?;
    let mut disputed = Vec::new();
    for record in records.iter().filter(|record| record.gone.is_none()) {
        if let Some(sid) = record.sid.as_deref().filter(|_| record.method != DiscoveryMethod::Heartbeat)
            && !discovery::others_with_sid(tx.conn(), sid, &record.identity).await?.is_empty()
        {
            disputed.push(record.id);
        }
    }
    let conflict = !disputed.is_empty();
    // Of a client nothing is believed that two claim: whoever came first is not right for that.
    let believed: Vec<RecordRow> =
        records.iter().filter(|record| client.is_none() || !disputed.contains(&record.id)).cloned().collect();
    let (name, facts) = merged(&believed, client.is_some());
    let living = records.iter().any(|record| record.gone.is_none());
    let gone = if client.is_some() || living { None } else { Some(now) };
    // Whoever is gone keeps its name, so that people know what it was.
    let last = records.iter().max_by_key(|record| record.found).map(|record| record.name.clone());
    let name = match (&client, living) {
        (Some(_), _) => String::new(),
        (None, true) => name,
        (None, false) => last.unwrap_or_default(),
    };
    resource::put(tx, &ResourceFacts { resource_id: number, name, gone, conflict, facts }).await?;
    note(tx, &[number], kind).await
}

/// Notes for collections that resources of one kind changed. What is in a group is known by the group's name.
async fn note(tx: &mut Tx, numbers: &[i64], kind: ResourceKind) -> Result<(), SiteError> {
    device_change::note_resources(tx, numbers, class(kind)).await?;
    if kind == ResourceKind::Group {
        for group in numbers {
            let members = resource_group::members(tx.conn(), *group).await?;
            note_each(tx, &members).await?;
        }
    }
    Ok(())
}

/// Notes for collections that resources changed, of whatever kind each is.
pub(super) async fn note_each(tx: &mut Tx, numbers: &[i64]) -> Result<(), SiteError> {
    for kind in [ResourceKind::System, ResourceKind::User, ResourceKind::Group] {
        let of_kind = resource::of_kind(tx, numbers, kind).await?;
        device_change::note_resources(tx, &of_kind, class(kind)).await?;
    }
    Ok(())
}

/// Computes those anew that have this security identifier too: whether two claim it may have changed.
pub(super) async fn settle_others(tx: &mut Tx, sid: &str, identity: &str, now: UnixMillis) -> Result<(), SiteError> {
    for other in discovery::others_with_sid(tx.conn(), sid, identity).await? {
        let kind = discovery::of_resource(tx.conn(), other).await?.first().map_or(ResourceKind::System, |row| row.kind);
        settle(tx, other, kind, now).await?;
    }
    Ok(())
}

/// The class of queries in which a change of such a resource matters.
pub(super) const fn class(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::System => device_change::SYSTEM,
        ResourceKind::User => device_change::USER,
        ResourceKind::Group => device_change::USER_GROUP,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::discovery::Fact;

    fn record(method: DiscoveryMethod, name: &str, facts: &[(&str, &str)]) -> RecordRow {
        let fact = |(name, value): &(&str, &str)| ((*name).to_owned(), Fact::Text((*value).to_owned()));
        RecordRow {
            id: 1,
            method,
            identity: "x".to_owned(),
            source: String::new(),
            kind: ResourceKind::System,
            resource_id: 1,
            name: name.to_owned(),
            sid: None,
            first_found: UnixMillis(1),
            found: UnixMillis(1),
            gone: None,
            facts: facts.iter().map(fact).collect(),
        }
    }

    #[test]
    fn the_first_method_that_says_an_attribute_says_it() {
        let network = record(DiscoveryMethod::Network, "lease", &[("Build", "1"), ("NetbiosName", "LEASE")]);
        let directory =
            record(DiscoveryMethod::DirectorySystem, "PC1", &[("Build", "2"), ("DistinguishedName", "CN=PC1")]);
        let (name, facts) = merged(&[network.clone(), directory.clone()], false);
        let text = |facts: &Facts, name: &str| match facts.get(name) {
            Some(Fact::Text(text)) => text.clone(),
            _ => String::new(),
        };
        assert_eq!((name.as_str(), text(&facts, "Build").as_str()), ("PC1", "2"));
        assert_eq!(text(&facts, "NetbiosName"), "LEASE");
        // Of a client, the directory says what only it knows, and the network nothing.
        let (_, facts) = merged(&[network, directory], true);
        assert_eq!(facts.keys().collect::<Vec<_>>(), ["DistinguishedName"]);
        let gone = RecordRow { gone: Some(UnixMillis(2)), ..record(DiscoveryMethod::Network, "x", &[("Build", "1")]) };
        assert_eq!(merged(&[gone], false), (String::new(), Facts::new()));
    }
}
