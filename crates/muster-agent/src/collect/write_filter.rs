//! `WRITE_FILTER_STATE` (`CCM_WriteFilterState`), as queries in the field have it, and `MUSTER_WRITE_FILTER`, which says more.

use super::row::Put;
use crate::os::{Machine, facts::Gaps, write_filter::Provider};
use muster_model::inventory::Row;

pub(super) fn rows(machine: &Machine, gaps: &mut Gaps) -> Option<[Vec<Row>; 2]> {
    let filter = machine.write_filter(gaps)?;
    let (mut known, mut more) = (Row::new(), Row::new());
    known.flag("WriteFilterEnabled", filter.state.is_overlay());
    more.text("State", filter.state.as_str());
    more.text("Provider", filter.provider.map(Provider::as_str));
    let lower = filter.lower.map(|path| path.display().to_string());
    more.text("Lower", lower.as_deref());
    more.flag("Serviceable", lower.is_some());
    Some([vec![known], vec![more]])
}
