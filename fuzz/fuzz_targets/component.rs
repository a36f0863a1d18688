//! Any bytes are told what they are or refused with a sentence; what is told is true.
//!
//! The sandbox's own files, without the sandbox: building the engine here would take minutes.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/midge-sandbox/src/absent.rs"]
mod absent;
#[path = "../../crates/midge-sandbox/src/candidate.rs"]
mod candidate;
#[path = "../../crates/midge-sandbox/src/contract/detect.rs"]
mod contract;
#[path = "../../crates/midge-sandbox/src/diagnosis/mod.rs"]
#[allow(dead_code, reason = "the linker's part of it is not here")]
mod diagnosis;
#[path = "../../crates/midge-sandbox/src/imports.rs"]
#[allow(dead_code, reason = "the linker's part of it is not here")]
mod imports;
#[path = "../../crates/midge-sandbox/src/inspect.rs"]
#[allow(dead_code, reason = "only what is called from here")]
mod inspect;
#[path = "../../crates/midge-sandbox/src/interfaces.rs"]
mod interfaces;
#[path = "../../crates/midge-sandbox/src/outline.rs"]
mod outline;

use contract::Contract;

/// The longest that a sentence or a hint may be, whatever a file declares.
const SENTENCE_BYTES_MAX: usize = 4096;

fn check(error: &inspect::InspectError) {
    let sentence = error.to_string();
    assert!(!sentence.is_empty());
    if let inspect::InspectError::Unfit(diagnosis) = error {
        assert!(sentence.len() <= SENTENCE_BYTES_MAX, "{sentence}");
        let hint = diagnosis.hint();
        assert!(!hint.is_empty() && hint.len() <= SENTENCE_BYTES_MAX);
    }
}

fuzz_target!(|source: &[u8]| {
    match inspect::inspect(source) {
        Ok(file) => {
            assert_eq!(file.size_bytes, source.len() as u64);
            assert!(file.imports.is_sorted_by_key(imports::Import::full_name));
            if file.contract == Contract::Command01 {
                assert!(file.exports.iter().any(|export| export == "_start"));
            }
            if let Err(error) = file.check_imports() {
                check(&error);
            }
        }
        Err(error) => check(&error),
    }
    if let Ok(component) = candidate::as_released(source) {
        // Nothing is left to be renamed.
        let again = candidate::as_released(&component).unwrap();
        assert_eq!(again, component);
    }
    let _ = outline::imports_only(source);
});
