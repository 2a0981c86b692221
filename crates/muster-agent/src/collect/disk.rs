//! `DISK` (`Win32_DiskDrive`) and `PARTITION` (`Win32_DiskPartition`). Sizes are in MB, as Configuration Manager has them.

use super::row::Put;
use crate::os::{
    Machine,
    facts::{Disk, Gaps, Partition},
};
use muster_model::inventory::Row;

const MB: u64 = 1 << 20;

pub(super) fn rows(machine: &Machine, gaps: &mut Gaps) -> Option<[Vec<Row>; 2]> {
    let disks = machine.disks(gaps)?;
    let partitions = disks
        .iter()
        .enumerate()
        .flat_map(|(at, disk)| disk.partitions.iter().map(move |p| partition(at as u64, disk.sector, p)));
    let partitions = partitions.collect();
    Some([disks.iter().enumerate().map(|(at, d)| disk(at as u64, d)).collect(), partitions])
}

fn disk(index: u64, disk: &Disk) -> Row {
    let mut row = Row::new();
    row.text("DeviceID", disk.device.as_str());
    row.text("Name", disk.device.as_str());
    let caption = disk.model.as_deref().unwrap_or(&disk.device);
    row.text("Caption", caption);
    row.text("Model", disk.model.as_deref());
    row.text("Manufacturer", disk.vendor.as_deref());
    row.text("Description", "Disk drive");
    row.number("Index", index);
    row.text("InterfaceType", disk.interface.as_deref());
    row.text("PNPDeviceID", disk.hardware_id.as_deref());
    row.text("MediaType", if disk.removable { "Removable Media" } else { "Fixed hard disk media" });
    row.flag("MediaLoaded", disk.size > 0);
    row.number("Size", disk.size / MB);
    row.number("BytesPerSector", disk.sector);
    row.number("TotalSectors", disk.size / disk.sector.max(1));
    row.number("Partitions", disk.partitions.len() as u64);
    if let Some([host, channel, target, unit]) = disk.scsi {
        row.number("SCSIPort", host);
        row.number("SCSIBus", channel);
        row.number("SCSITargetId", target);
        row.number("SCSILogicalUnit", unit);
    }
    row
}

fn partition(disk: u64, sector: u64, partition: &Partition) -> Row {
    let mut row = Row::new();
    row.text("DeviceID", partition.device.as_str());
    row.text("Name", partition.device.as_str());
    row.text("Caption", partition.label.as_deref().unwrap_or(&partition.device));
    row.number("DiskIndex", disk);
    // Windows counts from 0.
    row.number("Index", partition.number.saturating_sub(1));
    row.number("Size", partition.size / MB);
    row.number("StartingOffset", partition.start);
    row.number("BlockSize", sector);
    row.number("NumberOfBlocks", partition.size / sector.max(1));
    // 1 readable, 3 readable and writable.
    row.number("Access", if partition.writable { 3 } else { 1 });
    if let Some(scheme) = &partition.scheme {
        let kind = partition.kind.as_deref().unwrap_or_default().to_ascii_lowercase();
        let system = scheme == "gpt" && kind == "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
        row.text("Type", kind_text(scheme, &kind).as_str());
        row.flag("BootPartition", system || partition.active);
        row.flag("Bootable", system || partition.active);
        row.flag("PrimaryPartition", scheme == "gpt" || partition.number <= 4);
    }
    row
}

/// Windows' words where it has some; otherwise the type itself.
fn kind_text(scheme: &str, kind: &str) -> String {
    let name = match kind {
        "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" => "System",
        "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7" => "Basic Data",
        "e3c9e316-0b5c-4db8-817d-f92df00215ae" => "Microsoft Reserved",
        "21686148-6449-6e6f-744e-656564454649" => "BIOS boot",
        "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f" => "Linux swap",
        "0fc63daf-8483-4772-8e79-3d69d8477de4" | "0x83" => "Linux",
        "4f68bce3-e8cd-4db1-96e7-fbcaf984b709" => "Linux root (x86-64)",
        "b921b045-1df0-41c3-af44-4c6f280d3fae" => "Linux root (ARM-64)",
        "bc13c2ff-59e6-4262-a352-b275fd6f7172" => "Linux extended boot",
        "e6d6d379-f507-44c2-a23c-238f2a3df928" | "0x8e" => "Linux LVM",
        "a19d880f-05fc-4d3b-a006-743f0f84911e" | "0xfd" => "Linux RAID",
        "0x82" => "Linux swap",
        "0x5" | "0xf" => "Extended",
        "0xef" => "EFI System",
        "0x7" => "Installable File System",
        other => other,
    };
    match scheme {
        "gpt" => format!("GPT: {name}"),
        _ => name.to_owned(),
    }
}
