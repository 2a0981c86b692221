//! `X86_PC_MEMORY` (`CCM_LogicalMemoryConfiguration`), in KiB. `AvailableVirtualMemory` changes all the time and is left out.

use super::row::Put;
use crate::os::{Machine, facts::Gaps};
use muster_model::inventory::Row;

pub(super) fn rows(machine: &Machine, gaps: &mut Gaps) -> Option<Vec<Row>> {
    let memory = machine.memory(gaps)?;
    let mut row = Row::new();
    row.text("Name", "Logical Memory Configuration");
    row.number("TotalPhysicalMemory", memory.total);
    row.number("TotalPageFileSpace", memory.swap);
    row.number("TotalVirtualMemory", memory.total.saturating_add(memory.swap));
    Some(vec![row])
}
