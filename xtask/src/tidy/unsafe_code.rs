//! The few files that may say `unsafe`.
//!
//! The compiler refuses it in crates that forbid it; one crate must be able to give leave in
//! place, and this keeps that leave from spreading to its other files.

use super::Problem;
use super::parts::{Part, has_word, in_identifier, only};
use crate::tree::{SourceFile, Tree};

const MAY: &[&str] = &[
    "crates/midge-sandbox/src/artifact.rs", // loading native code is running it
    "crates/midge-sandbox/src/page.rs",     // maps what the node's processes count together
    "crates/midge-sandbox/src/scan.rs",     // stands in for a function of the C library
    "crates/midge-sandbox/src/scan/tests.rs",
];

/// Finds the word in code anywhere else.
pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let others = tree
        .host_rust()
        .filter(|file| !MAY.contains(&file.path.as_str()));
    others.flat_map(check_file).collect()
}

fn check_file(file: &SourceFile) -> Vec<Problem> {
    let code = only(&file.text, Part::Code);
    let lines = code
        .lines()
        .zip(1..)
        .filter(|(line, _)| has_word(line, "unsafe", in_identifier));
    lines
        .map(|(_, number)| {
            let message = format!("unsafe code outside {}", MAY.join(" and "));
            Problem::at_line(&file.path, number, message)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::problems;

    #[test]
    fn only_the_named_files_may() {
        let text = "// unsafe is fine here\nlet x = \"unsafe\";\nlet y = unsafe { load() };\n";
        let found = problems(
            check,
            &[
                ("crates/midge-sandbox/src/artifact.rs", text),
                ("crates/midge-sandbox/src/engine.rs", text),
                ("guests/examples/hello.rs", text),
            ],
        );
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("crates/midge-sandbox/src/engine.rs:3: unsafe code"));
    }
}
