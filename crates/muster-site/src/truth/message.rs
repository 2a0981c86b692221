//! Status messages, as people read them.

use crate::{Ctx, Site, SiteError, authz};
use muster_model::{
    api::{Message, MessageQuery, Page, PageQuery},
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

pub(super) fn shown(row: Stored) -> Message {
    let text = sentence(row.id(), &row.values);
    Message {
        time: row.happened,
        received: row.received,
        device: row.device,
        device_name: row.device_name,
        component: row.component,
        id: row.message,
        severity: row.severity,
        text,
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
