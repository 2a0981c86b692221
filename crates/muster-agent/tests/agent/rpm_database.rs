//! Makes an rpm database with the headers that rpm itself would write: region entry, sorted index, aligned data, trailer.

use rusqlite::{Connection, params};
use std::path::Path;

/// What a test says about a package.
#[derive(Clone, Copy)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) epoch: Option<u32>,
    pub(crate) version: &'static str,
    pub(crate) release: &'static str,
    pub(crate) architecture: Option<&'static str>,
    pub(crate) vendor: Option<&'static str>,
    pub(crate) installed: u32,
}

const INT32: u32 = 4;
const STRING: u32 = 6;
const BIN: u32 = 7;
const STRING_ARRAY: u32 = 8;
const I18N_STRING: u32 = 9;
const REGION: u32 = 63;

/// The bytes of a package's header.
pub(crate) fn header(package: &Package) -> Vec<u8> {
    let text = |s: &str| [s.as_bytes(), b"\0"].concat();
    let mut values: Vec<(u32, u32, u32, Vec<u8>)> = vec![
        (1000, STRING, 1, text(package.name)),
        (1001, STRING, 1, text(package.version)),
        (1002, STRING, 1, text(package.release)),
        (1004, I18N_STRING, 1, text("A summary")),
        (1009, INT32, 1, 4096_u32.to_be_bytes().to_vec()),
        (1116, INT32, 2, [1_u32, 0].map(u32::to_be_bytes).concat()),
        (1117, STRING_ARRAY, 2, [text("a"), text("b")].concat()),
        (1118, STRING_ARRAY, 2, [text("/lib/"), text("/usr/bin/")].concat()),
    ];
    values.extend(package.epoch.map(|epoch| (1003, INT32, 1, epoch.to_be_bytes().to_vec())));
    values.extend(package.vendor.map(|vendor| (1011, STRING, 1, text(vendor))));
    values.extend(package.architecture.map(|a| (1022, STRING, 1, text(a))));
    values.sort_by_key(|value| value.0);

    let (mut index, mut data) = (Vec::new(), Vec::new());
    for (tag, kind, count, bytes) in values {
        if kind == INT32 {
            data.resize(usize::next_multiple_of(data.len(), 4), 0);
        }
        index.push([tag, kind, u32::try_from(data.len()).unwrap(), count]);
        data.extend(bytes);
    }
    // The trailer closes the region: it points back over the index, as a negative number.
    let region_at = u32::try_from(data.len()).unwrap();
    let entries = u32::try_from(index.len() + 1).unwrap();
    index.insert(0, [REGION, BIN, region_at, 16]);
    for word in [REGION, BIN, (entries * 16).wrapping_neg(), 16] {
        data.extend(word.to_be_bytes());
    }
    // What rpm adds when it installs stands behind the region.
    data.resize(usize::next_multiple_of(data.len(), 4), 0);
    index.push([1008, INT32, u32::try_from(data.len()).unwrap(), 1]);
    data.extend(package.installed.to_be_bytes());

    let head = [u32::try_from(index.len()).unwrap(), u32::try_from(data.len()).unwrap()];
    let words = head.into_iter().chain(index.into_iter().flatten());
    words.flat_map(u32::to_be_bytes).chain(data).collect()
}

/// Writes `rpmdb.sqlite` with these headers, in the schema and journal mode of rpm 4.18.
pub(crate) fn write(path: &Path, headers: &[Vec<u8>]) {
    let database = Connection::open(path).unwrap();
    database
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA secure_delete = OFF;
             CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL);
             CREATE TABLE 'Name' (key 'TEXT' NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL,
                                  FOREIGN KEY (hnum) REFERENCES 'Packages'(hnum));",
        )
        .unwrap();
    for blob in headers {
        database.execute("INSERT INTO Packages (blob) VALUES (?1)", params![blob]).unwrap();
    }
}
