//! The ids of collections in the text of a query: which it names, and the same text with other ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

/// Before an id in the name of a class.
const CLASS: &str = "SMS_CM_RES_COLL_";

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Where ids stand, each with the id in capitals: in `SMS_CM_RES_COLL_<id>`, and as a whole text in quotes.
fn places(text: &str) -> Vec<(Range<usize>, String)> {
    let asks = text.to_ascii_lowercase().contains("collectionid");
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(begin) = text[from..].find(is_word).map(|at| from + at) {
        let end = text[begin..].find(|c| !is_word(c)).map_or(text.len(), |at| begin + at);
        from = end;
        let word = text[begin..end].to_ascii_uppercase();
        if let Some(id) = word.strip_prefix(CLASS).filter(|id| id.len() >= 3) {
            found.push((end - id.len()..end, id.to_owned()));
            continue;
        }
        let is_quoted = |quote: char| text[..begin].ends_with(quote) && text[end..].starts_with(quote);
        let Some((site, number)) = word.split_at_checked(3).filter(|(_, number)| number.len() == 5) else { continue };
        let is_id = site.bytes().all(|b| b.is_ascii_alphanumeric())
            && number.bytes().all(|b| b.is_ascii_hexdigit())
            && (site == "SMS" || asks);
        if is_id && (is_quoted('"') || is_quoted('\'')) {
            found.push((begin..end, word));
        }
    }
    found
}

/// The ids of collections that a text of a query names, in capitals, each once.
pub(super) fn named(text: &str) -> BTreeSet<String> {
    places(text).into_iter().map(|(_, id)| id).collect()
}

/// The text with other ids in their places, all at once: what one becomes may be what another was.
pub(super) fn with_ids(text: &str, ids: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for (place, was) in places(text) {
        if let Some(is) = ids.get(&was) {
            out.push_str(&text[from..place.start]);
            out.push_str(is);
            from = place.end;
        }
    }
    out.push_str(&text[from..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_change_places_do_not_meet() {
        let ids = [("PS100010", "PS100011"), ("PS100011", "PS100012"), ("PS100012", "PS100010")];
        let ids = ids.map(|(was, is)| (was.to_owned(), is.to_owned())).into();
        let text = "select * from SMS_R_System where ResourceId in (select ResourceID from sms_cm_res_coll_ps100010) \
                    and ResourceId not in (select ResourceID from SMS_CM_RES_COLL_PS100011) and Name like 'PS100010-%' \
                    and x.CollectionID in ('ps100012', \"PS100011\")";
        assert_eq!(named(text).into_iter().collect::<Vec<_>>(), ["PS100010", "PS100011", "PS100012"]);
        let expected = "select * from SMS_R_System where ResourceId in (select ResourceID from sms_cm_res_coll_PS100011) \
                        and ResourceId not in (select ResourceID from SMS_CM_RES_COLL_PS100012) and Name like 'PS100010-%' \
                        and x.CollectionID in ('PS100010', \"PS100012\")";
        assert_eq!(with_ids(text, &ids), expected);
    }

    #[test]
    fn what_is_no_id_stays() {
        let ids = [("LAB00001".to_owned(), "TST00014".to_owned())].into();
        for text in [
            "",
            "Name = 'LAB00001'",
            "CollectionID = 'LAB000011'",
            "CollectionID = 'xLAB00001'",
            "\u{e9}'",
            "SMS_CM_RES_COLL_",
        ] {
            assert_eq!((with_ids(text, &ids).as_str(), named(text).len()), (text, 0), "{text}");
        }
        assert_eq!(with_ids("CollectionID='lab00001'", &ids), "CollectionID='TST00014'");
        assert_eq!(named("Name = 'SMS00001'").len(), 1);
    }
}
