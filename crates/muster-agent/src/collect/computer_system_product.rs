//! `COMPUTER_SYSTEM_PRODUCT` (`Win32_ComputerSystemProduct`): what was bought.

use super::row::Put;
use crate::os::smbios::Smbios;
use muster_model::inventory::{Row, Value};

pub(super) fn rows(firmware: &Smbios) -> Vec<Row> {
    let Some(product) = &firmware.product else { return Vec::new() };
    let mut row = Row::new();
    // The serial number is the key, and may be unknown: then it is an empty text, as on Windows.
    row.insert("IdentifyingNumber".to_owned(), Value::Text(String::new()));
    row.text("IdentifyingNumber", product.serial.as_deref());
    row.text("Name", product.name.as_deref());
    row.text("Version", product.version.as_deref());
    row.text("Vendor", product.vendor.as_deref());
    row.text("UUID", product.uuid.as_deref());
    row.text("SKUNumber", product.sku.as_deref());
    row.text("Caption", "Computer System Product");
    row.text("Description", "Computer System Product");
    vec![row]
}
