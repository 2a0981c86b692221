//! An enrolment token as somebody types it or pastes it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_model::enrol::{EnrolmentToken, is_https_authority};

fuzz_target!(|text: &str| {
    if let Ok(token) = text.parse::<EnrolmentToken>() {
        assert_eq!(token.to_text().parse::<EnrolmentToken>().ok(), Some(token), "a token survives its text");
    }
    let _ = is_https_authority(text);
});
