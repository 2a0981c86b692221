//! What the firmware says about the machine: the SMBIOS table for root, the kernel's extracts for everybody else.

use super::files::{Files, unread};
use crate::os::{
    facts::Gaps,
    smbios::{Bios, Enclosure, Product, Smbios, TABLE_BYTES, parse_entry_point, parse_table},
};
use std::io::ErrorKind;

const TABLE: &str = "/sys/firmware/dmi/tables/DMI";
const ENTRY_POINT: &str = "/sys/firmware/dmi/tables/smbios_entry_point";
const EXTRACTS: &str = "/sys/class/dmi/id";

/// The table, or what the kernel shows of it. A machine without such firmware has an empty one; `None` means that there
/// is one and nothing of it may be read.
pub fn firmware(files: &Files, gaps: &mut Gaps) -> Option<Smbios> {
    match files.bytes(TABLE, TABLE_BYTES) {
        Ok(bytes) => {
            let mut found = parse_table(&bytes);
            found.version = files.bytes(ENTRY_POINT, 64).ok().and_then(|b| parse_entry_point(&b));
            Some(found)
        }
        Err(error) => {
            let found = extracts(files);
            if found.is_none() && error.kind() == ErrorKind::NotFound {
                let reason = "Manufacturer, model and serial number are not known: this machine has no SMBIOS table.";
                gaps.push(reason.to_owned());
                return Some(Smbios::default());
            }
            // Serial numbers are the part that only root may read, in the table and in the kernel's extracts.
            if found.as_ref().is_none_or(|f| f.product.as_ref().is_none_or(|p| p.serial.is_none())) {
                gaps.push(unread("Serial numbers and UUID are not known", TABLE, &error));
            }
            found
        }
    }
}

fn extracts(files: &Files) -> Option<Smbios> {
    let text = |name: &str| files.line(&format!("{EXTRACTS}/{name}"));
    let found = Smbios {
        bios: Some(Bios {
            vendor: text("bios_vendor"),
            version: text("bios_version"),
            date: text("bios_date"),
            characteristics: Vec::new(),
        })
        .filter(|bios| *bios != Bios::default()),
        product: Some(Product {
            vendor: text("sys_vendor"),
            name: text("product_name"),
            version: text("product_version"),
            serial: text("product_serial"),
            uuid: text("product_uuid").map(|u| u.to_uppercase()),
            wake_up: None,
            sku: text("product_sku"),
        })
        .filter(|product| *product != Product::default()),
        enclosures: Some(Enclosure {
            vendor: text("chassis_vendor"),
            kind: text("chassis_type").and_then(|t| t.parse().ok()),
            version: text("chassis_version"),
            serial: text("chassis_serial"),
            asset_tag: text("chassis_asset_tag"),
            ..Enclosure::default()
        })
        .filter(|enclosure| *enclosure != Enclosure::default())
        .into_iter()
        .collect(),
        ..Smbios::default()
    };
    (found != Smbios::default()).then_some(found).or_else(|| device_tree(files))
}

/// Small ARM machines have a device tree in the place of SMBIOS.
fn device_tree(files: &Files) -> Option<Smbios> {
    let name = files.line("/proc/device-tree/model")?;
    let product =
        Product { name: Some(name), serial: files.line("/proc/device-tree/serial-number"), ..Product::default() };
    Some(Smbios { product: Some(product), ..Smbios::default() })
}
