//! `PROCESSOR` (`SMS_Processor`): one row for each socket.
//!
//! Left out because they change all the time: `CurrentClockSpeed`, `LoadPercentage`, `CurrentVoltage`.

use super::row::{Put, wide};
use crate::os::{
    Machine,
    facts::{Gaps, Processor, System},
    smbios::Socket,
};
use muster_model::inventory::Row;

/// `ProcessorType` of a central processor.
const CENTRAL: u64 = 3;

pub(super) fn rows(machine: &Machine, system: &System, gaps: &mut Gaps) -> Option<Vec<Row>> {
    let processors = machine.processors(gaps)?;
    // The table may need root, which is already noted for the classes that are made of it.
    let sockets = machine.firmware(&mut Gaps::new()).map(|f| f.sockets).unwrap_or_default();
    let matching = sockets.len() == processors.len();
    let rows = processors.iter().enumerate().map(|(at, processor)| {
        let mut row = row(at, processor, &system.machine);
        if let Some(socket) = sockets.get(at).filter(|_| matching) {
            add_socket(&mut row, socket);
        }
        row
    });
    Some(rows.collect())
}

fn row(at: usize, processor: &Processor, machine: &str) -> Row {
    let has = |flag: &str| processor.flags.iter().any(|f| f == flag);
    let mut row = Row::new();
    row.text("DeviceID", format!("CPU{at}").as_str());
    row.text("Name", processor.name.as_deref());
    row.text("Manufacturer", processor.vendor.as_deref());
    row.number("ProcessorType", CENTRAL);
    row.number("NumberOfCores", processor.cores);
    row.number("NumberOfLogicalProcessors", processor.threads);
    row.number("MaxClockSpeed", processor.max_mhz);
    row.number("NormSpeed", processor.max_mhz);
    row.number("L2CacheSize", processor.l2_kib);
    row.number("L3CacheSize", processor.l3_kib);
    let wide = machine.contains("64") || machine == "s390x";
    row.number("AddressWidth", if wide { 64 } else { 32 });
    let (architecture, maker) = architecture(machine, processor.vendor.as_deref());
    row.number("Architecture", architecture);
    if let Some((family, model, stepping)) = processor.signature {
        row.number("Level", family);
        row.number("Revision", model << 8 | stepping);
        row.text("Stepping", stepping.to_string().as_str());
        let text = format!("{maker} Family {family} Model {model} Stepping {stepping}");
        row.text("Description", text.as_str());
        row.text("Caption", text.as_str());
    }
    if matches!(machine, "x86_64" | "i686" | "i586" | "i486" | "i386") {
        row.number("DataWidth", if has("lm") { 64 } else { 32 });
        row.flag("Is64Bit", has("lm"));
        row.flag("IsHyperthreadCapable", has("ht") && processor.threads > processor.cores);
        row.flag("IsHyperthreadEnabled", processor.threads > processor.cores);
        // The catalogue spells it like this.
        row.flag("IsVitualizationCapable", has("vmx") || has("svm"));
        row.flag("IsTrustedExecutionCapable", has("smx") || has("skinit"));
    } else {
        row.number("DataWidth", if wide { 64 } else { 32 });
        row.flag("Is64Bit", wide);
    }
    row
}

/// The number of `Architecture`, and how a description begins.
fn architecture(machine: &str, vendor: Option<&str>) -> (Option<u64>, &'static str) {
    match (machine, vendor) {
        ("x86_64", Some("GenuineIntel")) => (Some(9), "Intel64"),
        ("x86_64", Some("AuthenticAMD")) => (Some(9), "AMD64"),
        ("x86_64", _) => (Some(9), "x64"),
        ("aarch64", _) => (Some(12), "ARMv8 (64-bit)"),
        ("ppc64" | "ppc64le", _) => (Some(3), "PowerPC"),
        (other, _) if other.starts_with("arm") => (Some(5), "ARM"),
        ("i386" | "i486" | "i586" | "i686", _) => (Some(0), "x86"),
        _ => (None, "Processor"),
    }
}

fn add_socket(row: &mut Row, socket: &Socket) {
    row.text("SocketDesignation", socket.designation.as_deref());
    row.number("Family", wide(socket.family));
    row.number("ExtClock", wide(socket.external_mhz));
    row.number("UpgradeMethod", wide(socket.upgrade));
    row.text("ProcessorId", socket.id.map(|id| format!("{id:016X}")).as_deref());
    if !row.contains_key("Name") {
        row.text("Name", socket.version.as_deref());
    }
    if !row.contains_key("MaxClockSpeed") {
        row.number("MaxClockSpeed", wide(socket.max_mhz));
        row.number("NormSpeed", wide(socket.max_mhz));
    }
}
