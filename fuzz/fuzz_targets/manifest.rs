//! A manifest is read or refused with a place and a sentence, whatever its text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use midge_model::Manifest;

fuzz_target!(|text: &str| {
    if let Err(error) = Manifest::parse(text) {
        assert!(!error.to_string().is_empty());
        let _ = error.hint();
    }
});
