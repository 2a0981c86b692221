//! The line under a list: which rows are shown, and the addresses of the pages before and after.

use super::format;
use muster_model::api::Page;

/// Paging of one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paging {
    /// The first shown row, from 1; 0 when there is none.
    pub(crate) from: u64,
    /// The last shown row.
    pub(crate) to: u64,
    /// Rows on all pages.
    pub(crate) total: u64,
    /// Address of the page before.
    pub(crate) previous: Option<String>,
    /// Address of the page after.
    pub(crate) next: Option<String>,
    /// Address of the first page, where this is not the first or second.
    pub(crate) first: Option<String>,
    /// Address of the last page, where this is not the last or the one before.
    pub(crate) last: Option<String>,
}

impl Paging {
    /// The paging of `page`; `address` gives the address of the page that starts after so many rows.
    pub(crate) fn new<T>(page: &Page<T>, limit: u32, address: impl Fn(u64) -> String) -> Self {
        let (limit, shown) = (u64::from(limit.max(1)), page.items.len() as u64);
        let before = page.offset.saturating_sub(limit);
        let after = page.offset.saturating_add(limit);
        let final_page = page.total.saturating_sub(1) / limit * limit;
        Self {
            from: if shown == 0 { 0 } else { page.offset + 1 },
            to: page.offset + shown,
            total: page.total,
            previous: (page.offset > 0).then(|| address(before)),
            next: (after < page.total).then(|| address(after)),
            first: (before > 0).then(|| address(0)),
            last: (after < final_page).then(|| address(final_page)),
        }
    }

    /// `rows 51–100 of 100,000`.
    pub(crate) fn sentence(&self) -> String {
        if self.from == 0 {
            return "no rows".to_owned();
        }
        let (from, to, total) = (format::count(self.from), format::count(self.to), format::count(self.total));
        if self.total <= self.to - self.from + 1 {
            return format::counted(self.total, "row");
        }
        format!("rows {from}\u{2013}{to} of {total}")
    }

    /// Whether there is more than one page.
    pub(crate) fn is_needed(&self) -> bool {
        self.previous.is_some() || self.next.is_some()
    }
}

/// A query string from names and values, without those that are empty; starts with `?`, or is empty.
pub(crate) fn query(pairs: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        out.push(if out.is_empty() { '?' } else { '&' });
        out.push_str(name);
        out.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(offset: u64, shown: usize, total: u64) -> Paging {
        Paging::new(&Page { items: vec![(); shown], total, offset }, 50, |at| format!("?offset={at}"))
    }

    #[test]
    fn pages_lead_to_their_neighbours() {
        let first = page(0, 50, 100_000);
        assert_eq!(first.sentence(), "rows 1\u{2013}50 of 100,000");
        assert_eq!((first.previous, first.next.as_deref()), (None, Some("?offset=50")));
        assert_eq!(first.last.as_deref(), Some("?offset=99950"));
        let last = page(99_950, 50, 100_000);
        assert_eq!((last.previous.as_deref(), last.next, last.last), (Some("?offset=99900"), None, None));
        assert_eq!(page(0, 0, 0).sentence(), "no rows");
        assert!(!page(0, 3, 3).is_needed());
        assert_eq!(page(0, 1, 1).sentence(), "1 row");
        assert_eq!(page(500, 0, 3).previous.as_deref(), Some("?offset=450"), "past the end there is a way back");
    }

    #[test]
    fn a_query_carries_any_text() {
        assert_eq!(query(&[("search", "a&b=\"c\" é"), ("state", "")]), "?search=a%26b%3D%22c%22%20%C3%A9");
        assert_eq!(query(&[]), "");
    }
}
