//! Any bytes are told what they are or refused with a sentence; what is told is true.
//!
//! The sandbox's own files, without the sandbox: building the engine here would take minutes.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/midge-sandbox/src/contract/detect.rs"]
mod contract;
#[path = "../../crates/midge-sandbox/src/imports.rs"]
#[allow(dead_code, reason = "the linker's part of it is not here")]
mod imports;
#[path = "../../crates/midge-sandbox/src/inspect.rs"]
#[allow(dead_code, reason = "only what is called from here")]
mod inspect;

use contract::Contract;

fuzz_target!(|source: &[u8]| {
    match inspect::inspect(source) {
        Ok(file) => {
            assert_eq!(file.size_bytes, source.len() as u64);
            assert!(file.imports.is_sorted_by_key(imports::Import::full_name));
            if file.contract == Contract::Command01 {
                assert!(file.exports.iter().any(|export| export == "_start"));
            }
            if let Err(error) = file.check_imports() {
                assert!(!error.to_string().is_empty());
                assert!(error.hint().is_some());
            }
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let _ = error.hint();
        }
    }
});
