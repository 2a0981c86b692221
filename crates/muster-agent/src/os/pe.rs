//! What programs and libraries for Windows (PE files) say of themselves in their version resource. They lie on other systems too: in
//! shares, in images, below Wine. Only the pieces on the way to it are read, each of bounded size, and nothing recurses.

use serde::{Deserialize, Serialize};

/// Sections of a file that are looked at; Windows loads none with more.
const SECTIONS: usize = 96;
/// Bytes of the header after the signature that are looked at.
const HEADER_BYTES: usize = 4 << 10;
/// Entries of a directory of resources that are looked at.
const ENTRIES: usize = 4_096;
/// Bytes of a version resource; its own length is a number of 16 bits.
const RESOURCE_BYTES: usize = 64 << 10;
/// Characters of one text.
const TEXT: usize = 256;
/// The kind of resource that has the version.
const VERSION: u32 = 16;
/// The bit that says that an entry leads to another directory.
const BELOW: u32 = 1 << 31;

/// What a program says of itself. Nothing of it is proven.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    /// The product that it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// That product's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_version: Option<String>,
}

/// Reads so many bytes of a file from a place on; none where it has fewer.
pub type Read<'a> = &'a dyn Fn(u64, usize) -> Option<Vec<u8>>;

/// The version of a file; none where it is no program, or says nothing.
#[must_use]
pub fn version(read: Read<'_>) -> Option<Version> {
    parse_version(&Image::open(read)?.version()?)
}

/// A program in a file.
struct Image<'a> {
    read: Read<'a>,
    sections: Vec<Section>,
    /// Where the resources are, once it is loaded.
    resources: u32,
}

/// A piece of the file: so many bytes that are at an address once it is loaded, and at a place in the file.
struct Section {
    address: u32,
    bytes: u32,
    place: u32,
}

impl<'a> Image<'a> {
    fn open(read: Read<'a>) -> Option<Self> {
        let head = read(0, 64).filter(|head| head.starts_with(b"MZ"))?;
        let at = u64::from(long(&head, 0x3c)?);
        let coff = read(at, 24).filter(|coff| coff.starts_with(b"PE\0\0"))?;
        let sections = usize::from(short(&coff, 6)?).min(SECTIONS);
        let header_bytes = usize::from(short(&coff, 20)?);
        let header = read(at + 24, header_bytes.min(HEADER_BYTES))?;
        // The list of directories stands behind fields that are wider in programs of 64 bits.
        let directories = match short(&header, 0)? {
            0x10b => 96,
            0x20b => 112,
            _ => return None,
        };
        let resources = long(&header, directories + 16).filter(|address| *address > 0)?;
        if long(&header, directories - 4)? < 3 {
            return None;
        }
        let table = read(at + 24 + u64::try_from(header_bytes).ok()?, sections * 40)?;
        let section = |entry: &[u8]| {
            Some(Section { address: long(entry, 12)?, bytes: long(entry, 16)?, place: long(entry, 20)? })
        };
        Some(Self { read, sections: table.chunks_exact(40).filter_map(section).collect(), resources })
    }

    /// Where in the file an address is.
    fn place(&self, address: u32) -> Option<u64> {
        self.sections.iter().find_map(|section| {
            let offset = address.checked_sub(section.address).filter(|offset| *offset < section.bytes)?;
            Some(u64::from(section.place) + u64::from(offset))
        })
    }

    /// The bytes of the first version resource: below its kind, a name, and a language.
    fn version(&self) -> Option<Vec<u8>> {
        let base = self.place(self.resources)?;
        let names = self.entry(base, 0, Some(VERSION))?.checked_sub(BELOW)?;
        let languages = self.entry(base, names, None)?.checked_sub(BELOW)?;
        let data = self.entry(base, languages, None).filter(|at| at & BELOW == 0)?;
        let data = (self.read)(base + u64::from(data), 16)?;
        let bytes = usize::try_from(long(&data, 4)?).ok().filter(|bytes| *bytes <= RESOURCE_BYTES)?;
        (self.read)(self.place(long(&data, 0)?)?, bytes)
    }

    /// Where an entry of a directory of resources leads: the one of this number, or the first.
    fn entry(&self, base: u64, directory: u32, number: Option<u32>) -> Option<u32> {
        let at = base + u64::from(directory);
        let head = (self.read)(at, 16)?;
        let count = (usize::from(short(&head, 12)?) + usize::from(short(&head, 14)?)).min(ENTRIES);
        let table = (self.read)(at + 16, count * 8)?;
        table.chunks_exact(8).find_map(|entry| {
            let is_wanted = number.is_none() || number == long(entry, 0);
            long(entry, 4).filter(|_| is_wanted)
        })
    }
}

/// Reads a version resource (`VS_VERSIONINFO`): blocks in blocks, three deep.
#[must_use]
pub fn parse_version(bytes: &[u8]) -> Option<Version> {
    let root = block(bytes).filter(|root| root.key == "VS_VERSION_INFO")?;
    let mut found = Version::default();
    let tables = blocks(root.inner).filter(|block| block.key == "StringFileInfo").flat_map(|block| blocks(block.inner));
    // Of several languages the first counts.
    for said in tables.take(1).flat_map(|table| blocks(table.inner)) {
        let slot = match said.key.as_str() {
            "FileDescription" => &mut found.description,
            "FileVersion" => &mut found.file,
            "CompanyName" => &mut found.company,
            "ProductName" => &mut found.product,
            "ProductVersion" => &mut found.product_version,
            _ => continue,
        };
        *slot = slot.take().or_else(|| text(said.rest));
    }
    found.file = found.file.or_else(|| number(root.value, 8));
    found.product_version = found.product_version.or_else(|| number(root.value, 16));
    (found != Version::default()).then_some(found)
}

/// A block: a key, a value, and blocks in it.
struct Block<'a> {
    key: String,
    value: &'a [u8],
    /// From the value on.
    rest: &'a [u8],
    inner: &'a [u8],
    length: usize,
}

fn block(bytes: &[u8]) -> Option<Block<'_>> {
    let length = usize::from(short(bytes, 0)?);
    let bytes = bytes.get(..length).filter(|bytes| bytes.len() >= 6)?;
    // A text counts its value in characters.
    let value_bytes = usize::from(short(bytes, 2)?) * if short(bytes, 4)? == 1 { 2 } else { 1 };
    let units = units(bytes.get(6..)?);
    let key_end = 6 + 2 * (units.len() + 1);
    let value_at = key_end.next_multiple_of(4);
    let rest = bytes.get(value_at..).unwrap_or_default();
    let value = &rest[..value_bytes.min(rest.len())];
    let inner = rest.get(value_bytes.next_multiple_of(4)..).unwrap_or_default();
    Some(Block { key: String::from_utf16_lossy(&units), value, rest, inner, length })
}

fn blocks(mut bytes: &[u8]) -> impl Iterator<Item = Block<'_>> {
    std::iter::from_fn(move || {
        let block = block(bytes)?;
        bytes = bytes.get(block.length.next_multiple_of(4)..).unwrap_or_default();
        Some(block)
    })
}

/// The characters before the first zero.
fn units(bytes: &[u8]) -> Vec<u16> {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    units.take_while(|unit| *unit != 0).take(TEXT).collect()
}

fn text(bytes: &[u8]) -> Option<String> {
    let text: String = String::from_utf16_lossy(&units(bytes)).chars().filter(|c| !c.is_control()).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A version as four numbers, out of the fixed part.
fn number(fixed: &[u8], at: usize) -> Option<String> {
    long(fixed, 0).filter(|signature| *signature == 0xfeef_04bd)?;
    let (high, low) = (long(fixed, at)?, long(fixed, at + 4)?);
    let text = format!("{}.{}.{}.{}", high >> 16, high & 0xffff, low >> 16, low & 0xffff);
    (high | low != 0).then_some(text)
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The same out of bytes in memory.
#[must_use]
pub fn version_in(bytes: &[u8]) -> Option<Version> {
    version(&|at, count| {
        let at = usize::try_from(at).ok()?;
        bytes.get(at..at.checked_add(count)?).map(<[u8]>::to_vec)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `windres` and `ld` of GNU binutils.
    const SORTER: &[u8] = include_bytes!("../../tests/samples/sorter.dll");

    #[test]
    fn a_library_of_another_toolchain_says_what_it_is() {
        let found = version_in(SORTER).unwrap();
        let texts = [&found.description, &found.file, &found.company, &found.product, &found.product_version];
        let wanted = ["Sorts things, grüßt", "3.1.4.159 (release)", "Example Tools GmbH", "Example Sorter", "3.1"];
        assert_eq!(texts.map(|text| text.as_deref().unwrap()), wanted);
    }

    #[test]
    fn without_texts_the_numbers_count() {
        let at = SORTER.windows(30).position(|bytes| bytes == utf16("StringFileInfo\0")).unwrap();
        let mut bytes = SORTER.to_vec();
        bytes[at] = b'X';
        let found = version_in(&bytes).unwrap();
        assert_eq!((found.file.as_deref(), found.product_version.as_deref()), (Some("3.1.4.159"), Some("3.1.0.0")));
        assert_eq!(found.company, None);
    }

    fn utf16(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn one_that_is_cut_or_changed_anywhere_is_read_or_passed_over() {
        for end in 0..SORTER.len() {
            let _ = version_in(&SORTER[..end]);
        }
        for at in 0..SORTER.len() {
            for value in [0, 0x7f, 0xff, SORTER[at] ^ 1] {
                let mut bytes = SORTER.to_vec();
                bytes[at] = value;
                let _ = version_in(&bytes);
            }
        }
        assert_eq!((version_in(b""), version_in(b"#!/bin/sh\n"), parse_version(&[0xff; 300])), (None, None, None));
    }
}
