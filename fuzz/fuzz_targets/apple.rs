//! Property lists of Apple's devices: as a check-in and as a report, and written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_mdm::apple::{Message, Report, read, write};

fuzz_target!(|bytes: &[u8]| {
    let _ = (Message::read(bytes), Report::read(bytes));
    if let Ok(dictionary) = read(bytes) {
        let again = write(&dictionary);
        assert_eq!(read(&again).map(|again| write(&again)), Ok(again), "what is written is read");
    }
});
