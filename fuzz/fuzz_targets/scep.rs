//! SCEP from anybody: the address, and the message in it or beside it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_mdm::scep::{Operation, Request, operation};

fuzz_target!(|bytes: &[u8]| {
    let _ = Request::read(bytes);
    if let Ok(query) = std::str::from_utf8(bytes)
        && let Ok(Operation::PkiOperation(message)) = operation(query, None)
    {
        assert!(message.len() <= bytes.len());
        let _ = Request::read(&message);
    }
});
