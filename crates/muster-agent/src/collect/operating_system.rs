//! `OPERATING_SYSTEM` (`Win32_OperatingSystem`).
//!
//! Left out because they change all the time: `FreePhysicalMemory`, `FreeSpaceInPagingFiles`, `FreeVirtualMemory`,
//! `LocalDateTime`, `NumberOfProcesses`, `NumberOfUsers`.

use super::row::{Put, millis};
use crate::os::{
    Machine,
    facts::{Gaps, System},
};
use muster_model::inventory::Row;

/// `OSType` of Linux.
const LINUX: u64 = 36;
/// `ProductType` of a workstation and of a server.
const WORKSTATION: u64 = 1;
const SERVER: u64 = 3;

pub(super) fn rows(machine: &Machine, system: &System, gaps: &mut Gaps) -> Option<Vec<Row>> {
    let os = machine.operating_system(gaps)?;
    let mut row = Row::new();
    row.text("Name", os.caption.as_str());
    row.text("Caption", os.caption.as_str());
    row.text("Version", os.version.as_deref());
    row.text("BuildNumber", os.kernel.as_deref());
    row.text("OtherTypeDescription", os.id.as_deref());
    row.text("Manufacturer", os.manufacturer.as_deref());
    row.text("SerialNumber", os.installation_id.as_deref());
    row.text("OSArchitecture", architecture(&system.machine));
    row.number("OSType", cfg!(target_os = "linux").then_some(LINUX));
    row.number("ProductType", os.server.map(|server| if server { SERVER } else { WORKSTATION }));
    row.list("MUILanguages", os.language);
    row.text("CodeSet", os.charset.as_deref());
    row.signed("CurrentTimeZone", system.time_zone.map(|(minutes, _)| minutes));
    row.signed("InstallDate", os.installed.map(millis));
    // The kernel computes the start from its clock, and the result wavers by a second: whole minutes do not (mostly).
    row.signed("LastBootUpTime", os.booted.map(|seconds| millis((seconds + 30).div_euclid(60) * 60)));
    row.number("MaxNumberOfProcesses", os.max_processes);
    row.text("SystemDevice", os.system_device.as_deref());
    row.text("BootDevice", os.boot_device.as_deref());
    row.flag("Primary", true);
    if let Some(memory) = machine.memory(gaps) {
        row.number("TotalVisibleMemorySize", memory.total);
        row.number("TotalVirtualMemorySize", memory.total.saturating_add(memory.swap));
        row.number("TotalSwapSpaceSize", memory.swap);
        row.number("SizeStoredInPagingFiles", memory.swap);
    }
    Some(vec![row])
}

fn architecture(machine: &str) -> Option<&'static str> {
    Some(match machine {
        "aarch64" => "ARM 64-bit Processor",
        other if other.contains("64") || other == "s390x" => "64-bit",
        "" => return None,
        _ => "32-bit",
    })
}
