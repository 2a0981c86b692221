//! `COMPUTER_SYSTEM` (`Win32_ComputerSystem`): the machine as a whole.

use super::row::{Put, wide};
use crate::os::{
    Machine,
    facts::{Gaps, System},
    smbios::Smbios,
};
use muster_model::inventory::Row;

pub(super) fn rows(machine: &Machine, system: &System, firmware: &Smbios, gaps: &mut Gaps) -> Option<Vec<Row>> {
    let mut row = Row::new();
    row.text("Name", system.host_name.as_str());
    row.text("Caption", system.host_name.as_str());
    row.text("Domain", system.domain.as_deref());
    row.text("SystemType", system_type(&system.machine));
    row.text("UserName", system.console_user.as_deref());
    if let Some((minutes, summer)) = system.time_zone {
        row.signed("CurrentTimeZone", minutes);
        row.flag("DaylightInEffect", summer);
    }
    if let Some(product) = &firmware.product {
        row.text("Manufacturer", product.vendor.as_deref());
        row.text("Model", product.name.as_deref());
        row.number("WakeUpType", wide(product.wake_up));
    }
    if let Some(enclosure) = firmware.enclosures.first() {
        row.number("ChassisBootupState", wide(enclosure.bootup_state));
        row.number("PowerSupplyState", wide(enclosure.power_state));
        row.number("ThermalState", wide(enclosure.thermal_state));
    }
    row.list("OEMStringArray", firmware.oem.iter().cloned());
    // In KiB, as Configuration Manager reports it.
    row.number("TotalPhysicalMemory", machine.memory(gaps).map(|m| m.total));
    row.number("NumberOfProcessors", machine.processors(gaps).map(|p| p.len() as u64));
    Some(vec![row])
}

fn system_type(machine: &str) -> Option<&str> {
    Some(match machine {
        "x86_64" => "x64-based PC",
        "i386" | "i486" | "i586" | "i686" => "X86-based PC",
        "aarch64" => "ARM64-based PC",
        other if other.starts_with("arm") => "ARM-based PC",
        "" => return None,
        other => other,
    })
}
