//! Every crate says at its head that it has no unsafe code.
//!
//! The workspace lint only denies, which any file may lift for itself; `forbid` cannot be lifted.
//! One crate needs to lift it in two files (see `unsafe_code.rs` beside this) and says `deny` instead.

use super::Problem;
use crate::tree::Tree;

const FORBID: &str = "#![forbid(unsafe_code)]";
const DENY: &str = "#![deny(unsafe_code)]";

/// Crates in which a module lifts the lint.
const MAY_DENY: &[&str] = &["crates/midge-sandbox/"];

/// Finds the crate roots without the attribute.
pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in tree.host_rust().filter(|file| is_crate_root(&file.path)) {
        let may_deny = MAY_DENY
            .iter()
            .any(|crate_path| file.path.starts_with(crate_path));
        // Unindented: the same words inside a module would hold for that module only.
        let kept = file
            .text
            .lines()
            .any(|line| line == FORBID || (may_deny && line == DENY));
        if !kept {
            let wanted = if may_deny { DENY } else { FORBID };
            problems.push(Problem::in_file(
                &file.path,
                format!("no `{wanted}` at its head"),
            ));
        }
    }
    problems
}

fn is_crate_root(path: &str) -> bool {
    let in_bin = path.split_once("/src/bin/").map(|(_, file)| file);
    path.ends_with("/src/lib.rs")
        || path.ends_with("/src/main.rs")
        // A binary of several files has a folder there, and its root in it.
        || in_bin.is_some_and(|file| !file.contains('/') || file.ends_with("/main.rs"))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::problems;

    #[test]
    fn deny_is_enough_where_one_module_needs_it() {
        let found = problems(
            check,
            &[
                (
                    "crates/midge-model/src/lib.rs",
                    "//! x\n#![forbid(unsafe_code)]\n",
                ),
                ("crates/midge-model/src/name.rs", "//! x\n"),
                (
                    "crates/midge-ingress/src/lib.rs",
                    "//! x\n#![deny(unsafe_code)]\n",
                ),
                (
                    "crates/midge-sandbox/src/lib.rs",
                    "//! x\n#![deny(unsafe_code)]\n",
                ),
                ("crates/midge-runtime/src/lib.rs", "//! x\n"),
                (
                    "xtask/src/main.rs",
                    "mod a {\n    #![forbid(unsafe_code)]\n}\n",
                ),
            ],
        );
        assert_eq!(
            found,
            [
                "crates/midge-ingress/src/lib.rs: no `#![forbid(unsafe_code)]` at its head",
                "crates/midge-runtime/src/lib.rs: no `#![forbid(unsafe_code)]` at its head",
                "xtask/src/main.rs: no `#![forbid(unsafe_code)]` at its head",
            ]
        );
    }
}
