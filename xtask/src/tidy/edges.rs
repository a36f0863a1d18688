//! Which of our crates may use which.
//!
//! The floors of the house, as ARCHITECTURE.md draws them: arrows point down only. A new edge is a
//! change to the architecture and is made here, in the open.
//!
//! **Invariant:** what is not listed is refused.

use super::Problem;
use super::dependency::{dependencies, line_of};
use crate::tree::{Manifest, Tree};

/// The nouns: anyone may use them.
const FOR_ALL: &str = "midge-model";
/// What tests share: anyone's tests may use it, nothing that ships.
const FOR_TESTS: &str = "midge-testkit";

/// Top floor first. The binary wires everything and stands above the table.
const MAY_USE: &[(&str, &[&str])] = &[
    ("midge-ingress", &["midge-runtime"]),
    (
        "midge-control",
        &["midge-sandbox", "midge-store", "midge-api"],
    ),
    ("midge-runtime", &["midge-sandbox"]),
    ("midge-sandbox", &[]),
    ("midge-store", &[]),
    ("midge-api", &[]),
    ("midge-build", &[]),
    ("midge-oci", &[]),
    ("midge-model", &[]),
    ("midge-testkit", &["midge-toolchain"]),
    // Installs compilers for tests and chores; knows nothing of the product.
    ("midge-toolchain", &[]),
    // Starts the binaries that users start; nothing of the product may name it.
    (
        "midge-bench",
        &["midge-api", "midge-build", "midge-toolchain"],
    ),
    ("xtask", &["midge-toolchain"]),
];
const BINARY: &str = "midge";

/// Finds the edges that the table does not have.
pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    tree.members
        .iter()
        .flat_map(|member| check_member(member, tree))
        .collect()
}

fn check_member(member: &Manifest, tree: &Tree) -> Vec<Problem> {
    let user = member.package();
    let listed = MAY_USE
        .iter()
        .find(|(name, _)| *name == user)
        .map(|(_, may)| *may);
    if listed.is_none() && user != BINARY {
        let message = format!(
            "crate `{user}` stands on no floor: add it to MAY_USE in {}",
            file!()
        );
        return vec![Problem::in_file(&member.path, message)];
    }

    let ours = |name: &str| name == BINARY || MAY_USE.iter().any(|(listed, _)| *listed == name);
    let used = dependencies(member, &tree.workspace);
    let refused = used.iter().filter(|used| {
        let may = match used.package {
            FOR_ALL => user != "xtask",
            FOR_TESTS => used.dev,
            name => listed.is_none_or(|may| may.contains(&name)),
        };
        ours(used.package) && !may
    });
    let problems = refused.map(|used| Problem {
        path: member.path.clone(),
        line: line_of(member, used.key),
        message: match used.package {
            FOR_TESTS => format!("`{FOR_TESTS}` is for [dev-dependencies] only"),
            name => format!("`{user}` may not use `{name}`"),
        },
    });
    problems.collect()
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::problems;

    fn of(name: &str, rest: &str) -> Vec<String> {
        let manifest = format!("[package]\nname = \"{name}\"\n{rest}");
        problems(check, &[("crates/x/Cargo.toml", &manifest)])
    }

    #[test]
    fn an_edge_up_is_refused() {
        let rest = "[dependencies]\nmidge-model.workspace = true\nmidge-ingress.workspace = true\n";
        assert_eq!(
            of("midge-sandbox", rest),
            ["crates/x/Cargo.toml:5: `midge-sandbox` may not use `midge-ingress`"]
        );
    }

    #[test]
    fn the_two_doors_do_not_know_each_other() {
        let rest = "[dependencies]\nmidge-runtime.workspace = true\n";
        assert_eq!(
            of("midge-control", rest),
            ["crates/x/Cargo.toml:4: `midge-control` may not use `midge-runtime`"]
        );
        assert_eq!(of("midge-ingress", rest), [""; 0]);
    }

    #[test]
    fn the_testkit_is_for_tests() {
        assert_eq!(
            of(
                "midge",
                "[dev-dependencies]\nmidge-testkit.workspace = true\n"
            ),
            [""; 0]
        );
        assert_eq!(
            of("midge", "[dependencies]\nmidge-testkit.workspace = true\n"),
            ["crates/x/Cargo.toml:4: `midge-testkit` is for [dev-dependencies] only"]
        );
    }

    #[test]
    fn a_rename_is_seen_through() {
        let rest = "[dependencies]\nx = { package = \"midge-runtime\", path = \"../y\" }\n";
        assert_eq!(of("midge-model", rest).len(), 1);
    }

    #[test]
    fn a_crate_without_a_floor_is_refused() {
        let found = of("midge-helpers", "");
        assert!(
            found[0].contains("`midge-helpers` stands on no floor"),
            "{found:?}"
        );
    }
}
