//! What an answer says it cost: the `Server-Timing` that `--receipt` adds.
//!
//! Reads what midge-ingress writes; parts that are not known are skipped, so that a receipt may
//! get more of them, and so that another server's are not misread.
//!
//! **Invariant:** text that is no receipt is no error: it says nothing.

use std::time::Duration;

use midge_model::quantity::parse_bytes;

/// A longer field is not one of ours.
const TEXT_BYTES_MAX: usize = 1024;

/// What one answer cost, as far as it says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Receipt {
    /// Waiting for a place, and for the code if it was not loaded.
    pub(super) queue: Option<Duration>,
    /// Making the instance.
    pub(super) instantiate: Option<Duration>,
    /// Running it until the head of the response.
    pub(super) run: Option<Duration>,
    /// Time on a core that the guest was charged.
    pub(super) cpu: Option<Duration>,
    /// The most memory that the instance had.
    pub(super) memory_bytes: Option<u64>,
}

impl Receipt {
    /// What a `Server-Timing` says.
    pub(super) fn read(text: &str) -> Self {
        let mut receipt = Self::default();
        if text.len() > TEXT_BYTES_MAX {
            return receipt;
        }
        for part in text.split(',') {
            let mut words = part.split(';').map(str::trim);
            let name = words.next().unwrap_or_default();
            for word in words {
                match (name, word.split_once('=')) {
                    ("queue", Some(("dur", ms))) => receipt.queue = time(ms),
                    ("instantiate", Some(("dur", ms))) => receipt.instantiate = time(ms),
                    ("run", Some(("dur", ms))) => receipt.run = time(ms),
                    ("cpu", Some(("dur", ms))) => receipt.cpu = time(ms),
                    ("memory", Some(("desc", size))) => {
                        receipt.memory_bytes = parse_bytes(size.trim_matches('"')).ok();
                    }
                    _ => {}
                }
            }
        }
        receipt
    }
}

fn time(ms: &str) -> Option<Duration> {
    let seconds = ms.parse::<f64>().ok()? / 1e3;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use insta::assert_debug_snapshot;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_receipt_is_read_part_by_part() {
        let text = r#"queue;dur=0.012, instantiate;dur=0.007, run;dur=1234.000, cpu;dur=56.700, memory;desc="1.1MiB""#;
        assert_debug_snapshot!(Receipt::read(text), @r"
        Receipt {
            queue: Some(
                12µs,
            ),
            instantiate: Some(
                7µs,
            ),
            run: Some(
                1.234s,
            ),
            cpu: Some(
                56.7ms,
            ),
            memory_bytes: Some(
                1153433,
            ),
        }
        ");
        assert_eq!(Receipt::read("db;dur=53, run;desc=1"), Receipt::default());
        assert_eq!(Receipt::read("run;dur=-1, cpu;dur=NaN"), Receipt::default());
    }

    proptest! {
        /// Whatever another server writes, nothing breaks.
        #[test]
        fn no_text_is_too_odd(text in "(queue|run|memory|[a-z;=,\". ]|\\PC){0,20}") {
            let _ = Receipt::read(&text);
        }
    }
}
