//! `LOGICAL_DISK` (`SMS_LogicalDisk`): mounted volumes. Sizes are in MB, as Configuration Manager has them.

use super::row::Put;
use crate::os::{
    Machine,
    facts::{Gaps, Space, Volume, VolumeKind},
};
use muster_model::inventory::Row;

const MB: u64 = 1 << 20;
/// Free space is rounded down to this many MB: it changes all the time, and nobody plans with less.
const FREE_STEP: u64 = 1_024;
/// The same for volumes of less than 16 GB.
const FREE_STEP_SMALL: u64 = 64;

pub(super) fn rows(machine: &Machine, gaps: &mut Gaps) -> Option<Vec<Row>> {
    Some(machine.volumes(gaps)?.iter().map(row).collect())
}

fn row(volume: &Volume) -> Row {
    let mut row = Row::new();
    for attribute in ["DeviceID", "Name", "Caption"] {
        row.text(attribute, volume.mount_point.as_str());
    }
    let (kind, words) = match volume.kind {
        VolumeKind::Removable => (2, "Removable Disk"),
        VolumeKind::Fixed => (3, "Local Fixed Disk"),
        VolumeKind::Network => (4, "Network Connection"),
        VolumeKind::Optical => (5, "CD-ROM Disc"),
    };
    row.number("DriveType", kind);
    row.text("Description", words);
    row.text("FileSystem", volume.file_system.as_str());
    row.text("ProviderName", volume.source.as_str());
    row.text("VolumeName", volume.label.as_deref());
    row.text("VolumeSerialNumber", volume.serial.as_deref());
    // 1 readable, 3 readable and writable.
    row.number("Access", if volume.read_only { 1 } else { 3 });
    if let Some(space) = volume.space {
        add_space(&mut row, space);
    }
    row
}

fn add_space(row: &mut Row, space: Space) {
    let size = space.block.saturating_mul(space.blocks) / MB;
    let free = space.block.saturating_mul(space.available) / MB;
    let step = if size >= 16 * FREE_STEP { FREE_STEP } else { FREE_STEP_SMALL };
    row.number("Size", size);
    row.number("FreeSpace", free / step * step);
    row.number("BlockSize", space.block);
    row.number("NumberOfBlocks", space.blocks);
    row.number("MaximumComponentLength", space.name_max);
}
