//! How long a file may be.
//!
//! A file that cannot be read in one sitting decides more than one thing. The house aims at
//! 100-300 lines; here is only the wall at the end.

use super::Problem;
use crate::tree::Tree;

/// Tests and comments count: whoever reads the file reads them too.
const LINES_MAX: usize = 600;

/// Finds the files that are too long.
pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let too_long = |lines: &usize| *lines > LINES_MAX;
    let lengths = tree
        .rust
        .iter()
        .map(|file| (&file.path, file.text.lines().count()));
    lengths
        .filter(|(_, lines)| too_long(lines))
        .map(|(path, lines)| {
            Problem::in_file(
                path,
                format!("{lines} lines, the limit is {LINES_MAX}: split it"),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{LINES_MAX, check};
    use crate::tidy::testing::problems;

    #[test]
    fn the_line_after_the_last_is_one_too_many() {
        let fits = "x\n".repeat(LINES_MAX);
        let long = "x\n".repeat(LINES_MAX + 1);
        let files = [("crates/a/src/fits.rs", &*fits), ("guests/long.rs", &*long)];
        assert_eq!(
            problems(check, &files),
            ["guests/long.rs: 601 lines, the limit is 600: split it"]
        );
    }
}
