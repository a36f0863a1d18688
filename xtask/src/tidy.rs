//! `cargo xtask tidy`: the house rules that neither the compiler nor clippy can see.
//!
//! This file lists the checks and prints what they found; each check is a function from the tree
//! to its problems, in a file of its own, with tests that show it a made-up tree. Formatting is
//! rustfmt's, lints are clippy's, licences are cargo-deny's.
//!
//! **Invariant:** every check runs, whatever the ones before it found.

mod deny_unsafe;
mod dependency;
mod edges;
mod engine;
mod fixtures;
mod length;
mod module_doc;
mod parts;
mod reasons;
mod to_do;
mod unsafe_code;

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};

use crate::guests;
use crate::tree::Tree;

type Check = fn(&Tree) -> Vec<Problem>;

/// The checks, by the rule each keeps.
const CHECKS: &[(&str, Check)] = &[
    ("crate edges", edges::check),
    ("one crate per engine", engine::check),
    ("a reason for every dependency", reasons::check),
    ("file length", length::check),
    ("a module doc on every file", module_doc::check),
    ("no unsafe without leave", deny_unsafe::check),
    ("unsafe code in its files only", unsafe_code::check),
    ("an issue for every to-do", to_do::check),
    ("a test for every fixture", fixtures::check),
];

/// Runs every check and prints what they found.
pub(crate) fn run(root: &Path) -> Result<()> {
    let tree = Tree::load(root)?;
    let mut problems_count = 0;
    for (rule, check) in CHECKS {
        let problems = check(&tree);
        problems_count += problems.len();
        for problem in problems {
            eprintln!("{problem} [{rule}]");
        }
    }
    if let Err(err) = guests::check(root) {
        problems_count += 1;
        eprintln!("guests: {err:#} [prebuilt guests match their sources]");
    }
    if problems_count > 0 {
        bail!("tidy found {problems_count} problem(s)");
    }
    println!(
        "tidy: {} rules kept in {} Rust files",
        CHECKS.len() + 1,
        tree.rust.len()
    );
    Ok(())
}

/// One fault, and where it is.
#[derive(Debug)]
struct Problem {
    path: String,
    /// Counted from 1; none where the whole file is meant.
    line: Option<usize>,
    message: String,
}

impl Problem {
    fn in_file(path: &str, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line: None,
            message: message.into(),
        }
    }

    fn at_line(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line: Some(line),
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.message),
            None => write!(f, "{}: {}", self.path, self.message),
        }
    }
}

#[cfg(test)]
mod testing {
    //! How the tests of all checks look at a made-up tree.

    use super::Check;
    use crate::tree::testing::made_up;

    /// What `check` says about a tree of these files, a line each.
    pub(super) fn problems(check: Check, files: &[(&str, &str)]) -> Vec<String> {
        check(&made_up(files))
            .iter()
            .map(ToString::to_string)
            .collect()
    }
}
