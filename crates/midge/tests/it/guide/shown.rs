//! Whether a command printed what the guide shows.
//!
//! What is another with each run has to be of the same kind only: moments, durations, sizes, digests
//! and ids, what `uniq -c` counted, and how wide a column is. A line `...` stands for any lines.
//! What is compiled or fetched depends on the cache and counts for nothing.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// What is another each time, each with a name of its own.
static VARIABLE: LazyLock<Regex> = LazyLock::new(|| {
    let kinds = [
        r"(?P<MOMENT>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z)",
        r"(?P<ID>\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b)",
        r"(?P<DIGEST>\b[0-9a-f]{12,64}\b)",
        r"(?P<TIME>\b\d+(\.\d+)? (s|ms|us)\b)",
        r"(?P<SIZE>\b\d+(\.\d+)?(B|KiB|MiB)\b)",
        r"(?P<COUNT>(?m:^ +\d+\b))",
        r"(?P<SPACE> +)",
    ];
    Regex::new(&kinds.join("|")).unwrap()
});

/// Whether `printed` is what is shown.
pub(super) fn is_shown(shown: &str, printed: &str) -> bool {
    let (shown, printed) = (lines(shown), lines(printed));
    matches(&shown, &printed)
}

/// The shown lines that `said` does not have in this order, others between them.
pub(super) fn not_said<'a>(shown: &'a str, said: &str) -> Option<&'a str> {
    let said = lines(said);
    let mut said = said.iter();
    shown.lines().find(|line| {
        let wanted = same(line);
        !is_any(&wanted) && !is_progress(line) && !said.any(|line| *line == wanted)
    })
}

fn is_any(line: &str) -> bool {
    matches!(line.trim(), "..." | "…")
}

/// A second run finds components and their native code in the cache.
fn is_progress(line: &str) -> bool {
    line.starts_with("compil") || line.starts_with("fetching ")
}

fn lines(text: &str) -> Vec<String> {
    let lines = text.trim_end().lines();
    lines.filter(|line| !is_progress(line)).map(same).collect()
}

/// A line without what is another each time.
fn same(line: &str) -> String {
    let named = |captures: &Captures<'_>| {
        let mut names = VARIABLE.capture_names().flatten();
        let name = names.find(|name| captures.name(name).is_some());
        match name {
            Some("SPACE") | None => " ".to_owned(),
            Some(name) => name.to_owned(),
        }
    };
    VARIABLE.replace_all(line.trim_end(), named).into_owned()
}

fn matches(shown: &[String], printed: &[String]) -> bool {
    let Some((first, rest)) = shown.split_first() else {
        return printed.is_empty();
    };
    if is_any(first) {
        return (0..=printed.len()).any(|at| matches(rest, &printed[at..]));
    }
    let found = printed.split_first();
    found.is_some_and(|(line, others)| line == first && matches(rest, others))
}

#[test]
fn only_what_is_another_each_time_may_differ() {
    assert!(is_shown("1\n", "1\n"));
    assert!(!is_shown("1\n", "2\n"));
    assert!(!is_shown("1\n", "1\n2\n"));
    assert!(is_shown(
        "r2  100  2026-11-22T15:37:04Z  1cf220ac5e8d",
        "r2 100 2027-01-02T03:04:05Z 0123456789ab"
    ));
    assert!(is_shown(
        "r1, compiled in 366 ms (45.1KiB)",
        "r1, compiled in 1.2 s (7KiB)"
    ));
    assert!(is_shown("a\n...\nd", "a\nb\nc\nd"));
    assert!(is_shown(
        "    180 Hello\n     20 Hi",
        "    177 Hello\n     23 Hi"
    ));
    assert!(!is_shown("a\n...\nd", "a\nb"));
    assert_eq!(not_said("compiled x in 1 s\na\nc", "a\nb\nc\n"), None);
    assert_eq!(not_said("a\nc\nb", "a\nb\nc\n"), Some("b"));
}
