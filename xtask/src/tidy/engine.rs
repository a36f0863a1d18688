//! Engines with one owner.
//!
//! What only one crate may name can be replaced, bounded and audited in one place: Wasmtime in the
//! sandbox, the databases in the store. Tests are held to it too, so that they test our borders.

use super::Problem;
use super::dependency::{dependencies, line_of};
use crate::tree::Tree;

/// How the names of an engine's crates begin, and who may name them.
const OWNERS: &[(&str, &str)] = &[
    ("cranelift", "midge-sandbox"),
    ("wasmtime", "midge-sandbox"),
    ("async-nats", "midge-store"),
    ("libsqlite3", "midge-store"),
    ("nats", "midge-store"),
    ("rusqlite", "midge-store"),
    ("sqlite", "midge-store"),
    ("sqlx", "midge-store"),
];

/// The one exception: the benches run the engine bare, to show what the sandbox adds to it.
const MEASURER: &str = "midge-bench";
const MEASURED: &str = "wasmtime";

/// Finds crates that name another's engine.
pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for member in &tree.members {
        for used in dependencies(member, &tree.workspace) {
            let owner = OWNERS
                .iter()
                .find(|(prefix, _)| used.package.starts_with(prefix));
            let measured = member.package() == MEASURER && used.package.starts_with(MEASURED);
            let owner = owner.filter(|(_, owner)| *owner != member.package() && !measured);
            if let Some((_, owner)) = owner {
                problems.push(Problem {
                    path: member.path.clone(),
                    line: line_of(member, used.key),
                    message: format!("only `{owner}` may name `{}`", used.package),
                });
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::problems;

    #[test]
    fn an_engine_is_named_by_its_owner_only() {
        let found = problems(
            check,
            &[
                (
                    "crates/a/Cargo.toml",
                    "[package]\nname = \"midge-sandbox\"\n[dependencies]\n\
                     wasmtime-wasi.workspace = true\n",
                ),
                (
                    "crates/b/Cargo.toml",
                    "[package]\nname = \"midge-runtime\"\n[dev-dependencies]\n\
                     wasmtime.workspace = true\n[dependencies]\nrusqlite.workspace = true\n",
                ),
            ],
        );
        assert_eq!(
            found,
            [
                "crates/b/Cargo.toml:6: only `midge-store` may name `rusqlite`",
                "crates/b/Cargo.toml:4: only `midge-sandbox` may name `wasmtime`",
            ]
        );
    }
}
