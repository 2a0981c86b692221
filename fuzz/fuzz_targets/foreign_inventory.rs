//! The document of a foreign collector, from the compressed bytes to the rows of its classes, which always obey them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_mdm::foreign::{Bounds, Encoding, Request, decode, map, read};
use muster_model::{catalogue::foreign, limits::Limits};

fuzz_target!(|data: &[u8]| {
    let bounds = Bounds { decoded_bytes: 1 << 20, rows: 1_000, value_bytes: 1_024 };
    let Some((first, rest)) = data.split_first() else { return };
    let encoding = match first % 3 {
        0 => Encoding::Plain,
        1 => Encoding::Zlib,
        _ => Encoding::Gzip,
    };
    let Ok(text) = decode(encoding, rest, bounds.decoded_bytes) else { return };
    let Ok(Request::Inventory(document)) = read(&text, &bounds) else { return };
    let limits = Limits::default();
    for (name, rows) in map(&document).classes {
        let class = foreign().iter().find(|class| class.class.name == name).expect("a class of foreign collectors");
        assert!(rows.len() <= bounds.rows);
        for row in rows {
            class.class.check(&row, &limits).expect("a row that obeys its class");
        }
    }
});
