//! How many tests passed and failed, from what the runners print at their end.
//!
//! Read from the text that people see too, so that the closing count cannot say anything else. A
//! verdict this does not know counts as a failure.

use std::fmt;

/// Tests by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) passed: u32,
    pub(super) failed: u32,
    pub(super) skipped: u32,
}

/// How nextest's summary begins.
pub(super) const NEXTEST_MARKER: &str = "Summary [";
/// How the built-in runner's begins; it prints one per crate.
pub(super) const CARGO_TEST_MARKER: &str = "test result:";

impl Count {
    /// Reads `Summary [ 1.2s] 5 tests run: 3 passed (1 slow), 1 failed, 1 timed out, 2 skipped`.
    pub(super) fn of_nextest(lines: &[String]) -> Option<Self> {
        let (_, verdicts) = lines.last()?.split_once(" run: ")?;
        let verdicts = without_remarks(verdicts);
        Some(Self::of_verdicts(verdicts.split(',')))
    }

    /// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; ...`.
    pub(super) fn of_cargo_test(lines: &[String]) -> Self {
        let mut count = Self::default();
        for line in lines {
            let (_, verdicts) = line.split_once(". ").unwrap_or_default();
            count.add(Self::of_verdicts(verdicts.split(';')));
        }
        count
    }

    /// Adds what another runner counted.
    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    fn of_verdicts<'a>(verdicts: impl Iterator<Item = &'a str>) -> Self {
        let mut count = Self::default();
        for verdict in verdicts {
            let Some((number, word)) = verdict.trim().split_once(' ') else {
                continue;
            };
            let Ok(number) = number.parse::<u32>() else {
                continue;
            };
            match word.trim_end() {
                "passed" => count.passed += number,
                "skipped" | "ignored" => count.skipped += number,
                "measured" | "filtered out" => {}
                _ => count.failed += number,
            }
        }
        count
    }
}

/// Without `(1 slow, 2 leaky)` and the like, which say more about tests counted already.
fn without_remarks(verdicts: &str) -> String {
    let mut depth = 0_usize;
    let outside = |c: &char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => return depth == 0,
        }
        false
    };
    verdicts.chars().filter(outside).collect()
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        match self.skipped {
            0 => Ok(()),
            skipped => write!(f, ", {skipped} skipped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Count;

    fn nextest(line: &str) -> String {
        Count::of_nextest(&[line.to_owned()]).map_or("none".to_owned(), |count| count.to_string())
    }

    #[test]
    fn nextest_says_it_in_one_line() {
        for (said, want) in [
            (
                "Summary [   0.0s] 3 tests run: 3 passed, 0 skipped",
                "3 passed, 0 failed",
            ),
            (
                "Summary [   9s] 1 test run: 1 passed (1 slow), 2 skipped",
                "1 passed, 0 failed, 2 skipped",
            ),
            (
                "Summary [ 9s] 7 tests run: 3 passed (1 slow, 2 flaky, 1 leaky), \
                 2 failed (1 due to being leaky), 1 timed out, 1 exec failed, 0 skipped",
                "3 passed, 4 failed",
            ),
            (
                "Summary [ 9s] 2/5 tests run: 1 passed, 1 failed, 0 skipped",
                "1 passed, 1 failed",
            ),
            ("Summary [ 9s] nothing", "none"),
        ] {
            assert_eq!(nextest(said), want, "{said}");
        }
    }

    #[test]
    fn cargo_test_says_it_once_per_crate() {
        let lines = [
            "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s",
            "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 5 filtered out; finished in 0s",
        ];
        let count = Count::of_cargo_test(&lines.map(str::to_owned));
        assert_eq!(count.to_string(), "3 passed, 1 failed, 1 skipped");
    }
}
