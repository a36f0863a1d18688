//! Every file of ours opens by saying what it decides.
//!
//! That it says it well is for the reviewer; that it says anything is checked here. Guests are
//! left out: an example's first lines belong to whoever copies it.

use super::Problem;
use crate::tree::Tree;

/// Finds the files that start without a module doc.
pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let bare = tree.host_rust().filter(|file| {
        let first = file.text.lines().find(|line| !line.trim().is_empty());
        !first.is_some_and(|line| line.starts_with("//! "))
    });
    bare.map(|file| {
        Problem::in_file(
            &file.path,
            "no module doc: open with `//! ` and what the file decides",
        )
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::problems;

    #[test]
    fn a_doc_must_come_first_and_say_something() {
        let files = [
            ("crates/a/src/lib.rs", "//! Names.\n\nmod name;\n"),
            ("crates/a/src/late.rs", "use std::fs;\n//! Late.\n"),
            ("crates/a/tests/it/empty.rs", "//!\n"),
            ("xtask/src/none.rs", ""),
            ("guests/examples/hello.rs", "fn main() {}\n"),
        ];
        let paths: Vec<String> = problems(check, &files)
            .iter()
            .map(|problem| problem.split(':').next().unwrap().to_owned())
            .collect();
        assert_eq!(
            paths,
            [
                "crates/a/src/late.rs",
                "crates/a/tests/it/empty.rs",
                "xtask/src/none.rs"
            ]
        );
    }
}
