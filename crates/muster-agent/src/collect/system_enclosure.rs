//! `SYSTEM_ENCLOSURE` (`Win32_SystemEnclosure`): the housing.

use super::row::{Put, wide};
use crate::os::smbios::{Enclosure, Smbios};
use muster_model::inventory::Row;

pub(super) fn rows(firmware: &Smbios) -> Vec<Row> {
    firmware.enclosures.iter().enumerate().map(|(at, enclosure)| row(at, enclosure)).collect()
}

fn row(at: usize, enclosure: &Enclosure) -> Row {
    let mut row = Row::new();
    row.text("Tag", format!("System Enclosure {at}").as_str());
    for attribute in ["Name", "Caption", "Description"] {
        row.text(attribute, "System Enclosure");
    }
    row.text("Manufacturer", enclosure.vendor.as_deref());
    row.text("Version", enclosure.version.as_deref());
    row.text("SerialNumber", enclosure.serial.as_deref());
    row.text("SMBIOSAssetTag", enclosure.asset_tag.as_deref());
    row.text("SKU", enclosure.sku.as_deref());
    row.list("ChassisTypes", enclosure.kind.map(|kind| kind.to_string()));
    row.flag("LockPresent", enclosure.lock);
    row.number("SecurityStatus", wide(enclosure.security));
    row.number("NumberOfPowerCords", wide(enclosure.power_cords));
    row
}
