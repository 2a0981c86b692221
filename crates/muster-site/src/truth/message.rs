//! Status messages, as people read them.

use crate::{Ctx, Site, SiteError, authz};
use muster_model::{
    api::{Message, MessageEntry, MessageQuery, Page, PageQuery},
    status::MessageId,
};
use muster_store::db::message::{self, Stored};
use std::collections::BTreeMap;

/// One page of status messages, the latest first.
///
/// # Errors
/// `unauthenticated`, `too_large`.
pub async fn message_list(ctx: &Ctx, site: &Site, query: &MessageQuery) -> Result<Page<Message>, SiteError> {
    authz::see(ctx)?;
    let page = site.page(PageQuery { offset: query.offset, limit: query.limit })?;
    let (rows, total) = message::list(&mut *site.store.reader().await?, query).await?;
    Ok(Page { items: rows.into_iter().map(shown).collect(), total, offset: page.offset })
}

/// One status message, by its place in the list.
///
/// # Errors
/// `unauthenticated`, `not_found`.
pub async fn message_show(ctx: &Ctx, site: &Site, key: u64) -> Result<Message, SiteError> {
    authz::see(ctx)?;
    let found = message::get(&mut *site.store.reader().await?, key).await?;
    found.map(shown).ok_or_else(SiteError::not_found)
}

/// Every kind of status message, by its number.
///
/// # Errors
/// `unauthenticated`.
pub fn message_catalogue(ctx: &Ctx) -> Result<Page<MessageEntry>, SiteError> {
    authz::see(ctx)?;
    let mut items: Vec<MessageEntry> = MessageId::ALL
        .iter()
        .map(|id| {
            let entry = id.entry();
            let value = |(name, of): &(&str, muster_model::status_catalogue::ValueType)| {
                ((*name).to_owned(), of.as_str().to_owned())
            };
            MessageEntry {
                id: id.as_str().to_owned(),
                number: entry.number,
                component: entry.component,
                severity: entry.severity,
                kind: entry.kind,
                sentence: id.sentence().to_owned(),
                values: entry.values.iter().map(value).collect(),
            }
        })
        .collect();
    items.sort_by_key(|item| item.number);
    Ok(Page { total: items.len() as u64, items, offset: 0 })
}

pub(super) fn shown(row: Stored) -> Message {
    let id = row.id();
    let text = sentence(id, &row.values);
    Message {
        time: row.happened,
        received: row.received,
        device: row.device,
        device_name: row.device_name,
        component: row.component,
        id: row.message,
        severity: row.severity,
        text,
        key: row.key,
        number: id.map(|id| id.entry().number),
        kind: id.map(|id| id.entry().kind),
        values: row.values,
    }
}

/// The sentence of a message: `{name}` is the value of that name. Values are never looked into again.
pub(super) fn sentence(id: Option<MessageId>, values: &BTreeMap<String, String>) -> String {
    let Some(id) = id else { return "A message that a newer Muster wrote.".to_owned() };
    let mut text = String::new();
    let mut rest = id.sentence();
    while let Some((before, (name, after))) =
        rest.split_once('{').and_then(|(before, tail)| Some((before, tail.split_once('}')?)))
    {
        text.push_str(before);
        text.push_str(values.get(name).map_or("?", String::as_str));
        rest = after;
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_put_in_and_never_looked_into() {
        let values =
            BTreeMap::from([("class".to_owned(), "{reason}".to_owned()), ("reason".to_owned(), "no".to_owned())]);
        assert_eq!(sentence(Some(MessageId::InventoryUnreadable), &values), "{reason} could not be read: no");
        assert_eq!(sentence(Some(MessageId::PolicyRefused), &values), "A policy was refused: no.");
        assert_eq!(sentence(Some(MessageId::AgentStarted), &values), "The agent ? started.");
        assert_eq!(sentence(Some(MessageId::AgentStopped), &values), "The agent stopped.");
    }
}
