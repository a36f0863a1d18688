//! A mark for later work names its issue.
//!
//! Without a number nobody finds it again. Only comments are read: the `todo!` macro is clippy's.

use super::Problem;
use super::parts::{Part, has_word, in_identifier, only};
use crate::tree::{SourceFile, Tree};

const MARK: &str = "TODO";
/// Other words for the same thing; one word is enough to search for.
const SYNONYMS: &[&str] = &["FIXME", "XXX", "HACK"];

/// Finds marks without a number.
pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    tree.rust.iter().flat_map(check_file).collect()
}

fn check_file(file: &SourceFile) -> Vec<Problem> {
    let comments = only(&file.text, Part::Comment);
    let lines = comments
        .lines()
        .zip(1..)
        .filter(|(line, _)| has_bare_mark(line));
    lines
        .map(|(_, number)| {
            let message = format!("work left without an issue: write `{MARK}(#7)` with its number");
            Problem::at_line(&file.path, number, message)
        })
        .collect()
}

fn has_bare_mark(line: &str) -> bool {
    let bare = |rest: &str| {
        let number = rest
            .strip_prefix("(#")
            .and_then(|rest| rest.split_once(')'));
        number.is_none_or(|(number, _)| number.parse::<u32>().is_err())
    };
    SYNONYMS
        .iter()
        .any(|word| has_word(line, word, in_identifier))
        || has_word(line, MARK, in_identifier) && line.split(MARK).skip(1).any(bare)
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::problems;

    #[test]
    fn a_mark_needs_a_number() {
        let text = "\
//! Fine: TODO(#12) later.
let x = \"TODO\"; // a string is no mark
// TODO: some day
/* TODO(soon) */
// FIXME(#3)
// AUTODOCS
";
        let found = problems(check, &[("guests/a.rs", text)]);
        let places: Vec<&str> = found
            .iter()
            .filter_map(|line| line.split(": ").next())
            .collect();
        assert_eq!(places, ["guests/a.rs:3", "guests/a.rs:4", "guests/a.rs:5"]);
    }
}
