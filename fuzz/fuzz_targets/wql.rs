//! A query as somebody types it or pastes it: what is read survives its text, and means the same then.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_model::wql::{self, Schema};

fuzz_target!(|text: &str| {
    let parsed = match wql::parse(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let _ = error.shown(text);
            return;
        }
    };
    let printed = parsed.query.to_string();
    // What is written out in full may be over a limit that the short text was not.
    let again = wql::parse(&printed).ok();
    if let Some(again) = &again {
        assert_eq!(again.query, parsed.query, "a query survives its text");
    }
    match wql::check(&parsed, Schema::built_in()) {
        Ok(checked) => {
            let _ =
                (checked.classes(), checked.rule().is_ok(), checked.select.is_of_each(), checked.select.collections());
            if let Some(again) = again {
                let second = wql::check(&again, Schema::built_in()).expect("what was sound is sound");
                assert_eq!(second.select, checked.select, "and means the same");
            }
        }
        Err(error) => {
            let _ = error.shown(text);
        }
    }
});
