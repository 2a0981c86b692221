//! The firmware's table about the machine (DMTF DSP0134), the same bytes on every operating system.

/// Bytes of a table. Version 2 has at most 64 KiB; servers with version 3 stay far below this.
pub const TABLE_BYTES: u64 = 1 << 20;
/// Structures that are looked at.
const STRUCTURES: usize = 4_096;
/// Texts that one structure may carry.
const TEXTS: usize = 255;

/// What the table says; everything may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Smbios {
    /// Version of the table's format.
    pub version: Option<(u8, u8)>,
    /// Type 0.
    pub bios: Option<Bios>,
    /// Type 1.
    pub product: Option<Product>,
    /// Type 3, in table order.
    pub enclosures: Vec<Enclosure>,
    /// Type 4, populated sockets only, in table order.
    pub sockets: Vec<Socket>,
    /// Type 11.
    pub oem: Vec<String>,
}

/// The firmware itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bios {
    /// Vendor.
    pub vendor: Option<String>,
    /// Version.
    pub version: Option<String>,
    /// Release date as written: `04/01/2014`.
    pub date: Option<String>,
    /// Numbers of the characteristics that are set.
    pub characteristics: Vec<u8>,
}

/// The product that was sold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Product {
    /// Manufacturer.
    pub vendor: Option<String>,
    /// Model.
    pub name: Option<String>,
    /// Version.
    pub version: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// UUID in upper case, as Windows writes it; absent when the firmware has none.
    pub uuid: Option<String>,
    /// What woke the machine.
    pub wake_up: Option<u8>,
    /// Stock-keeping unit.
    pub sku: Option<String>,
}

/// The housing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Enclosure {
    /// Manufacturer.
    pub vendor: Option<String>,
    /// Chassis type number: 3 desktop, 10 notebook, 23 rack mount...
    pub kind: Option<u8>,
    /// Whether a lock is present.
    pub lock: Option<bool>,
    /// Version.
    pub version: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// Asset tag.
    pub asset_tag: Option<String>,
    /// State at the last start.
    pub bootup_state: Option<u8>,
    /// State of the power supply.
    pub power_state: Option<u8>,
    /// Thermal state.
    pub thermal_state: Option<u8>,
    /// Physical security.
    pub security: Option<u8>,
    /// Power cords.
    pub power_cords: Option<u8>,
    /// Stock-keeping unit.
    pub sku: Option<String>,
}

/// A processor socket with a processor in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Socket {
    /// Designation on the board.
    pub designation: Option<String>,
    /// Processor family.
    pub family: Option<u16>,
    /// Manufacturer.
    pub vendor: Option<String>,
    /// The processor's id: on x86 the EAX and EDX of CPUID 1.
    pub id: Option<u64>,
    /// Version, which is the marketing name.
    pub version: Option<String>,
    /// External clock, MHz.
    pub external_mhz: Option<u16>,
    /// Highest speed that the socket supports, MHz.
    pub max_mhz: Option<u16>,
    /// Kind of socket.
    pub upgrade: Option<u8>,
}

/// Reads the version from an entry point (`_SM_` or `_SM3_`).
#[must_use]
pub fn parse_entry_point(bytes: &[u8]) -> Option<(u8, u8)> {
    let at = match bytes {
        [b'_', b'S', b'M', b'3', b'_', ..] => 7,
        [b'_', b'S', b'M', b'_', ..] => 6,
        _ => return None,
    };
    Some((*bytes.get(at)?, *bytes.get(at + 1)?))
}

/// Reads a table of structures. Stops quietly where the table stops making sense; never fails.
#[must_use]
pub fn parse_table(mut bytes: &[u8]) -> Smbios {
    let mut found = Smbios::default();
    for _ in 0..STRUCTURES {
        let Some((structure, rest)) = Structure::take(bytes) else { break };
        match structure.data.first() {
            Some(0) if found.bios.is_none() => found.bios = Some(structure.bios()),
            Some(1) if found.product.is_none() => found.product = Some(structure.product()),
            Some(3) => found.enclosures.push(structure.enclosure()),
            Some(4) => found.sockets.extend(structure.socket()),
            Some(11) => found.oem.extend(structure.texts.iter().map(|t| text_of(t)).filter(|t| !t.is_empty())),
            Some(127) => break,
            _ => {}
        }
        bytes = rest;
    }
    found
}

/// One structure: the formatted part and the texts behind it.
struct Structure<'a> {
    data: &'a [u8],
    texts: Vec<&'a [u8]>,
}

impl<'a> Structure<'a> {
    fn take(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let length = usize::from(*bytes.get(1)?);
        if length < 4 {
            return None;
        }
        let (data, mut rest) = bytes.split_at_checked(length)?;
        let mut texts = Vec::new();
        // The texts end with an empty one; a structure without texts has two zero bytes.
        while let Some(end) = rest.iter().position(|b| *b == 0) {
            let (text, after) = (&rest[..end], &rest[end + 1..]);
            rest = after;
            if text.is_empty() {
                break;
            }
            if texts.len() < TEXTS {
                texts.push(text);
            }
        }
        if texts.is_empty() && rest.first() == Some(&0) {
            rest = &rest[1..];
        }
        Some((Self { data, texts }, rest))
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.data.get(at).copied()
    }

    fn word(&self, at: usize) -> Option<u16> {
        Some(u16::from_le_bytes(self.data.get(at..at + 2)?.try_into().ok()?))
    }

    fn quad(&self, at: usize) -> Option<u64> {
        Some(u64::from_le_bytes(self.data.get(at..at + 8)?.try_into().ok()?))
    }

    fn text(&self, at: usize) -> Option<String> {
        let number = usize::from(self.byte(at)?).checked_sub(1)?;
        let text = text_of(self.texts.get(number)?);
        (!text.is_empty()).then_some(text)
    }

    fn bios(&self) -> Bios {
        let set = self.quad(0x0a).unwrap_or(0);
        Bios {
            vendor: self.text(4),
            version: self.text(5),
            date: self.text(8),
            // Bits 32 and up are reserved for the vendors.
            characteristics: (0..32).filter(|bit| set >> bit & 1 == 1).collect(),
        }
    }

    fn product(&self) -> Product {
        Product {
            vendor: self.text(4),
            name: self.text(5),
            version: self.text(6),
            serial: self.text(7),
            uuid: self.data.get(8..24).and_then(uuid_of),
            wake_up: self.byte(0x18),
            sku: self.text(0x19),
        }
    }

    fn enclosure(&self) -> Enclosure {
        let sku_at = match (self.byte(0x13), self.byte(0x14)) {
            (Some(count), Some(length)) => Some(0x15 + usize::from(count) * usize::from(length)),
            _ => None,
        };
        Enclosure {
            vendor: self.text(4),
            kind: self.byte(5).map(|b| b & 0x7f),
            lock: self.byte(5).map(|b| b & 0x80 != 0),
            version: self.text(6),
            serial: self.text(7),
            asset_tag: self.text(8),
            bootup_state: self.byte(9),
            power_state: self.byte(0x0a),
            thermal_state: self.byte(0x0b),
            security: self.byte(0x0c),
            power_cords: self.byte(0x12).filter(|n| *n > 0),
            sku: sku_at.and_then(|at| self.text(at)),
        }
    }

    fn socket(&self) -> Option<Socket> {
        // Bit 6 of the status says that the socket is populated.
        if self.byte(0x18).is_some_and(|status| status & 0x40 == 0) {
            return None;
        }
        let family = match self.byte(6)? {
            0xfe => self.word(0x28),
            family => Some(u16::from(family)),
        };
        Some(Socket {
            designation: self.text(4),
            family,
            vendor: self.text(7),
            id: self.quad(8).filter(|id| *id != 0),
            version: self.text(0x10),
            external_mhz: self.word(0x12).filter(|mhz| *mhz != 0),
            max_mhz: self.word(0x14).filter(|mhz| *mhz != 0),
            upgrade: self.byte(0x19),
        })
    }
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// The first three fields are little-endian (since version 2.6, and on every machine in practice).
fn uuid_of(b: &[u8]) -> Option<String> {
    if b.len() != 16 || b.iter().all(|x| *x == 0) || b.iter().all(|x| *x == 0xff) {
        return None;
    }
    const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut text = String::with_capacity(36);
    for (at, from) in ORDER.into_iter().enumerate() {
        if [4, 6, 8, 10].contains(&at) {
            text.push('-');
        }
        text.push_str(&format!("{:02X}", b[from]));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_point_of_either_kind_has_a_version() {
        assert_eq!(parse_entry_point(b"_SM3_\x9a\x18\x03\x04\x00"), Some((3, 4)));
        assert_eq!(parse_entry_point(b"_SM_\x9a\x1f\x02\x08"), Some((2, 8)));
        assert_eq!(parse_entry_point(b"_SM3_"), None);
        assert_eq!(parse_entry_point(b"junk"), None);
    }

    #[test]
    fn a_table_that_is_cut_anywhere_is_read_as_far_as_it_goes() {
        let mut table = vec![1, 27, 0, 0, 1, 2, 0, 3];
        table.extend([0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]);
        table.extend([6, 0, 0]);
        table.extend(b"ACME\0Rocket\0S-1\0\0");
        table.extend([127, 4, 0, 0, 0, 0]);
        let product = parse_table(&table).product.unwrap();
        assert_eq!(product.uuid.as_deref(), Some("00112233-4455-6677-8899-AABBCCDDEEFF"));
        assert_eq!((product.vendor.as_deref(), product.serial.as_deref()), (Some("ACME"), Some("S-1")));
        assert_eq!(product.version, None);
        for end in 0..table.len() {
            let _ = parse_table(&table[..end]);
        }
    }

    #[test]
    fn a_structure_shorter_than_its_header_ends_the_table() {
        assert_eq!(parse_table(&[1, 0, 0, 0, 0, 0]), Smbios::default());
        assert_eq!(parse_table(&[1, 200, 0, 0, 0, 0]), Smbios::default());
    }
}
