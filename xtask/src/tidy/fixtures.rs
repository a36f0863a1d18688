//! No guest fixture without a test.
//!
//! A prebuilt guest that nothing runs rots unseen. A fixture counts as named when a string in the
//! tests or in the sources of a crate is its file's name, with or without folder and ending. The
//! testkit is left out: handing all of them out is its job, not a test.

use super::Problem;
use super::parts::{Part, has_word, in_identifier, only};
use crate::tree::Tree;

/// Finds the fixtures that no test names.
pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let may_name =
        |path: &str| path.starts_with("crates/") && !path.starts_with("crates/midge-testkit/src/");
    let strings: Vec<String> = tree
        .rust
        .iter()
        .filter(|file| may_name(&file.path))
        .map(|file| only(&file.text, Part::Literal))
        .collect();
    let unnamed = tree.fixtures.iter().filter(|path| {
        let name = stem(path);
        !strings
            .iter()
            .any(|text| has_word(text, name, in_file_name))
    });
    unnamed
        .map(|path| Problem::in_file(path, format!("no test names the fixture `{}`", stem(path))))
        .collect()
}

fn stem(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.strip_suffix(".wasm").unwrap_or(file)
}

fn in_file_name(c: char) -> bool {
    in_identifier(c) || c == '-'
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::problems;

    #[test]
    fn a_name_in_a_string_of_a_test_is_enough() {
        let found = problems(
            check,
            &[
                ("guests/fixtures/prebuilt/echo.wasm", ""),
                ("guests/fixtures/prebuilt/hostile/spin.wasm", ""),
                ("guests/fixtures/prebuilt/echo-late.wasm", ""),
                ("guests/fixtures/prebuilt/grow.wasm", ""),
                ("crates/a/tests/it/main.rs", "run(\"echo\"); // \"grow\"\n"),
                ("crates/b/src/x.rs", "load(\"hostile/spin.wasm\");"),
                (
                    "crates/midge-testkit/src/lib.rs",
                    "[\"grow\", \"echo-late\"]",
                ),
            ],
        );
        assert_eq!(
            found,
            [
                "guests/fixtures/prebuilt/echo-late.wasm: no test names the fixture `echo-late`",
                "guests/fixtures/prebuilt/grow.wasm: no test names the fixture `grow`",
            ]
        );
    }
}
