//! `SERVICE` (`Win32_Service`). `ProcessId` changes with every start and is left out.

use super::row::Put;
use crate::os::{
    Machine,
    facts::{Gaps, Service, StartMode},
};
use muster_model::inventory::Row;

pub(super) fn rows(machine: &Machine, gaps: &mut Gaps) -> Option<Vec<Row>> {
    Some(machine.services(gaps)?.iter().map(row).collect())
}

fn row(service: &Service) -> Row {
    let mut row = Row::new();
    row.text("Name", service.name.as_str());
    let title = service.description.as_deref().unwrap_or(&service.name);
    for attribute in ["DisplayName", "Caption", "Description"] {
        row.text(attribute, title);
    }
    row.text("PathName", service.command.as_deref());
    row.text("StartName", service.account.as_deref());
    row.text(
        "StartMode",
        match service.start {
            StartMode::Auto => "Auto",
            StartMode::Manual => "Manual",
            StartMode::Disabled => "Disabled",
        },
    );
    row.text("State", service.running.map(|running| if running { "Running" } else { "Stopped" }));
    row.flag("Started", service.running);
    row
}
