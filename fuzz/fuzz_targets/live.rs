//! The live channel as a management point sends it, cut anywhere.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::session::Events;

fuzz_target!(|input: (&[u8], usize)| {
    let (bytes, at) = input;
    let at = at.min(bytes.len());
    let (mut whole, mut cut) = (Events::default(), Events::default());
    let at_once = whole.feed(bytes);
    let in_pieces = cut.feed(&bytes[..at]).and_then(|first| Ok(first | cut.feed(&bytes[at..])?));
    assert_eq!(at_once.ok(), in_pieces.ok(), "pieces change nothing");
});
