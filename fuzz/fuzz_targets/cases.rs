//! A file of cases, and one of what was touched, is read or refused with a place and a sentence,
//! whatever its text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use midge_model::cases::Cases;
use midge_model::rehearsal::{Fail, Now, Slow};
use midge_model::touched::Touched;

fuzz_target!(|text: &str| {
    match Cases::parse(text) {
        Ok(cases) => {
            assert!(!cases.cases.is_empty());
            for case in &cases.cases {
                let _ = cases.given(case);
            }
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let _ = error.hint();
        }
    }
    if let Ok(touched) = Touched::parse(text) {
        // What is read is written such that it reads back.
        let again = Touched::parse(&touched.to_toml());
        assert_eq!(again.as_ref(), Ok(&touched));
    }
    let _ = (text.parse::<Now>(), text.parse::<Slow>(), text.parse::<Fail>());
});
