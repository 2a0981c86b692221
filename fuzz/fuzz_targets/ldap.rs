//! What a directory answers: messages one after another as a stream has them, and what is in them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_model::ldap::{Answer, answer, length};

fuzz_target!(|bytes: &[u8]| {
    let _ = answer(bytes);
    let mut rest = bytes;
    // As the reader of a connection does: a message is as long as its beginning says.
    while let Ok(Some(size)) = length(rest) {
        assert!(size > 1, "a message has a tag and a length");
        let Some((message, after)) = rest.split_at_checked(size) else { return };
        if let Ok((_, Answer::Entry(entry))) = answer(message) {
            let all: usize = entry.attributes.iter().flat_map(|(_, values)| values).map(Vec::len).sum();
            assert!(all <= message.len(), "an entry has no more than its message");
            for (name, _) in &entry.attributes {
                let _ = (entry.text(name), entry.values(name));
            }
        }
        rest = after;
    }
});
