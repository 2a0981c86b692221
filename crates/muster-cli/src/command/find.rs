//! Which thing a word on the command line means: an id, or a name that only one thing has.

use crate::{CliError, Client, output::clean};
use muster_model::{
    api::{
        Admin, ApplicationInfo, BaselineDeployment, BaselineInfo, Collection, CollectionQuery, Deployment, Device,
        DeviceQuery, Enrolment, EnrolmentState, PageQuery, Resource, ResourceQuery, Subject,
    },
    id::{CollectionId, DeploymentId, DeviceId, EnrolmentId, Hash, ResourceId},
};

/// Rows that are looked through for a name.
const ROWS: u32 = 500;

fn all() -> PageQuery {
    PageQuery { offset: 0, limit: ROWS }
}

/// The only one of them; else a sentence that names them.
fn only<T>(noun: &str, word: &str, mut found: Vec<T>, id: impl Fn(&T) -> String) -> Result<T, CliError> {
    if found.len() > 1 {
        let ids: Vec<_> = found.iter().map(|thing| clean(&id(thing))).collect();
        return Err(CliError::Usage(format!(
            "{word:?} is the name of several: {}; say which by its id",
            ids.join(", ")
        )));
    }
    found.pop().ok_or_else(|| {
        CliError::Usage(format!("there is no {noun} with the id or name {word:?}; see `muster {noun} list`"))
    })
}

pub(super) async fn device(client: &Client, word: &str) -> Result<DeviceId, CliError> {
    if let Ok(id) = word.parse() {
        return Ok(id);
    }
    let wanted = DeviceQuery { search: word.to_owned(), limit: ROWS, ..Default::default() };
    let found = client.device_list(&wanted).await?.items.into_iter().filter(|d| d.name == word).collect();
    only("device", word, found, |d: &Device| d.id.to_string()).map(|d| d.id)
}

/// A device, or a user, a group or a system without a client.
pub(super) async fn subject(client: &Client, word: &str) -> Result<Subject, CliError> {
    if let Ok(number) = word.parse() {
        return Ok(Subject::Resource(ResourceId(number)));
    }
    let none = match device(client, word).await {
        Ok(id) => return Ok(Subject::Device(id)),
        Err(error) => error,
    };
    let wanted =
        ResourceQuery { search: word.to_owned(), client: Some(false), limit: ROWS, ..ResourceQuery::default() };
    let found = client.resource_list(&wanted).await?.items.into_iter().filter(|r| r.name == word).collect::<Vec<_>>();
    if found.is_empty() {
        return Err(none);
    }
    only("resource", word, found, |r: &Resource| r.resource_id.to_string()).map(|r| Subject::Resource(r.resource_id))
}

pub(super) async fn collection(client: &Client, word: &str) -> Result<CollectionId, CliError> {
    if let Ok(id) = word.parse::<CollectionId>()
        && client.collection_show(id).await.is_ok()
    {
        return Ok(id);
    }
    let wanted = CollectionQuery { search: word.to_owned(), limit: ROWS, ..Default::default() };
    let found = client.collection_list(&wanted).await?.items.into_iter().filter(|c| c.name.as_str() == word).collect();
    only("collection", word, found, |c: &Collection| c.id.to_string()).map(|c| c.id)
}

pub(super) async fn admin(client: &Client, word: &str) -> Result<Admin, CliError> {
    let means = |a: &Admin| a.name.as_str() == word || a.id.to_string() == word;
    let found = client.admin_list(&all()).await?.items.into_iter().filter(means).collect();
    only("admin", word, found, |a: &Admin| a.id.to_string())
}

pub(super) async fn pending(client: &Client, word: &str) -> Result<Enrolment, CliError> {
    let id = word.parse::<EnrolmentId>().ok();
    let list = client.enrolment_list(Some(EnrolmentState::Pending), &all()).await?;
    let means = |e: &Enrolment| id.map_or_else(|| e.claims.host_name == word, |id| e.id == id);
    let found = list.items.into_iter().filter(means).collect();
    only("enrolment", word, found, |e: &Enrolment| e.id.to_string())
}

pub(super) async fn application(client: &Client, word: &str) -> Result<ApplicationInfo, CliError> {
    if let Ok(hash) = word.parse::<Hash>() {
        return Ok(client.application_show(&hash).await?);
    }
    let is_prefix = word.len() >= 8 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let means = |a: &ApplicationInfo| {
        let full = format!("{} {}", a.application.name, a.application.version);
        a.application.name.as_str() == word || full == word || (is_prefix && a.hash.to_string().starts_with(word))
    };
    let found = client.application_list(&all()).await?.items.into_iter().filter(means).collect();
    only("application", word, found, |a: &ApplicationInfo| format!("{} {}", a.application.version, a.hash))
}

pub(super) async fn baseline(client: &Client, word: &str) -> Result<BaselineInfo, CliError> {
    if let Ok(hash) = word.parse::<Hash>() {
        return Ok(client.baseline_show(&hash).await?);
    }
    let is_prefix = word.len() >= 8 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let means = |b: &BaselineInfo| {
        let full = format!("{} {}", b.baseline.name, b.baseline.version);
        b.baseline.name.as_str() == word || full == word || (is_prefix && b.hash.to_string().starts_with(word))
    };
    let found = client.baseline_list(&all()).await?.items.into_iter().filter(means).collect();
    only("baseline", word, found, |b: &BaselineInfo| format!("{} {}", b.baseline.version, b.hash))
}

pub(super) async fn baseline_deployment(client: &Client, word: &str) -> Result<DeploymentId, CliError> {
    if let Ok(id) = word.parse() {
        return Ok(id);
    }
    let found = client.baseline_deployment_list(&all()).await?;
    let found = found.items.into_iter().filter(|d| !d.deleted && d.name.as_str() == word).collect();
    only("baseline", word, found, |d: &BaselineDeployment| d.id.to_string()).map(|d| d.id)
}

pub(super) async fn deployment(client: &Client, word: &str) -> Result<DeploymentId, CliError> {
    if let Ok(id) = word.parse() {
        return Ok(id);
    }
    let found = client.deployment_list(&all()).await?;
    let found = found.items.into_iter().filter(|d| !d.deleted && d.name.as_str() == word).collect();
    only("deployment", word, found, |d: &Deployment| d.id.to_string()).map(|d| d.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_two_is_no_name() {
        assert_eq!(only("device", "a", vec![1], ToString::to_string).unwrap(), 1);
        let several = only("device", "a", vec![1, 2], ToString::to_string).unwrap_err();
        assert!(several.to_string().contains("1, 2"), "{several}");
        let none = only("device", "a", Vec::<u8>::new(), ToString::to_string).unwrap_err();
        assert!(none.to_string().contains("muster device list"), "{none}");
    }
}
