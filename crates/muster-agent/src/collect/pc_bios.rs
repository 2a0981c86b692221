//! `PC_BIOS` (`Win32_BIOS`): the firmware.

use super::row::{Put, wide};
use crate::os::smbios::Smbios;
use muster_model::{inventory::Row, time::DAY};

pub(super) fn rows(firmware: &Smbios) -> Vec<Row> {
    let Some(bios) = &firmware.bios else { return Vec::new() };
    let mut row = Row::new();
    let name = bios.version.as_deref().or(bios.vendor.as_deref());
    for attribute in ["Name", "Caption", "Description", "SoftwareElementID"] {
        row.text(attribute, name);
    }
    row.text("Manufacturer", bios.vendor.as_deref());
    row.text("SMBIOSBIOSVersion", bios.version.as_deref());
    row.text("Version", bios.version.as_deref());
    row.list("BIOSVersion", bios.version.clone());
    row.signed("ReleaseDate", bios.date.as_deref().and_then(parse_date));
    row.text("SerialNumber", firmware.product.as_ref().and_then(|p| p.serial.as_deref()));
    row.list("BiosCharacteristics", bios.characteristics.iter().map(u8::to_string));
    row.number("SMBIOSMajorVersion", wide(firmware.version.map(|(major, _)| major)));
    row.number("SMBIOSMinorVersion", wide(firmware.version.map(|(_, minor)| minor)));
    row.flag("SMBIOSPresent", true);
    row.flag("PrimaryBIOS", true);
    vec![row]
}

/// Milliseconds of a date as firmware writes it: `mm/dd/yyyy`, or `mm/dd/yy` before 2000.
#[must_use]
fn parse_date(text: &str) -> Option<i64> {
    let mut parts = text.split('/');
    let mut next = || parts.next()?.trim().parse::<i16>().ok();
    let (month, day, year) = (next()?, next()?, next()?);
    let year = if year < 100 { 1900 + year } else { year };
    let date = jiff::civil::Date::new(year, month.try_into().ok()?, day.try_into().ok()?).ok()?;
    let epoch = jiff::civil::date(1970, 1, 1);
    let days = epoch.until(date).ok()?.get_days();
    Some(i64::from(days) * DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_american() {
        assert_eq!(parse_date("04/01/2014"), Some(1_396_310_400_000));
        assert_eq!(parse_date("12/31/99"), Some(946_598_400_000));
        for other in ["", "31/12/2014", "2014-04-01", "04/01", "99999/1/1"] {
            assert_eq!(parse_date(other), None, "{other}");
        }
    }
}
