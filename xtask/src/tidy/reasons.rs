//! Every dependency says why it is there.
//!
//! The place is the root manifest: members inherit from it, and each entry there has a comment above
//! it, on its line, or above the group of lines it stands in. A heading (`# ---`) is no reason. Our
//! own crates need none.

use toml::Value;

use super::Problem;
use super::dependency::{dependencies, line_of, shared};
use crate::tree::{Manifest, Tree};

/// Finds dependencies without a reason, and those that avoid the place for it.
pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = without_reason(&tree.workspace);
    for member in &tree.members {
        for used in dependencies(member, &tree.workspace)
            .iter()
            .filter(|used| !used.inherits)
        {
            problems.push(Problem {
                path: member.path.clone(),
                line: line_of(member, used.key),
                message: format!(
                    "`{0}` is not inherited: put it with its reason into [workspace.dependencies] \
                     and write `{0}.workspace = true`",
                    used.key
                ),
            });
        }
    }
    problems
}

fn without_reason(workspace: &Manifest) -> Vec<Problem> {
    let mut problems = Vec::new();
    let lines: Vec<&str> = workspace.text.lines().collect();
    for (name, value) in shared(workspace).into_iter().flatten() {
        let line = line_of(workspace, name);
        let ours = value.get("path").and_then(Value::as_str).is_some();
        if !ours && !line.is_some_and(|line| has_reason(&lines[..line])) {
            let message =
                format!("no reason for `{name}`: say in a comment above it what it is for");
            problems.push(Problem {
                path: workspace.path.clone(),
                line,
                message,
            });
        }
    }
    problems
}

/// Whether the last of these lines has a comment, or one before it in the same group.
fn has_reason(lines: &[&str]) -> bool {
    let group = lines.iter().rev().take_while(|line| {
        let line = line.trim_end();
        !line.is_empty() && !line.starts_with('[') && !line.starts_with("# ---")
    });
    let has_comment =
        |(above, line): (usize, &&str)| line.starts_with('#') || above == 0 && line.contains(" # ");
    group.enumerate().any(has_comment)
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::problems;

    #[test]
    fn a_reason_stands_above_the_line_on_it_or_above_its_group() {
        let root = "\
[workspace.dependencies]
# --- ours
midge-model = { path = \"crates/midge-model\" }

# --- engine
bare = \"1\"
# The runtime.
wasmtime = { version = \"48\", features = [
    \"async\",
] }
wasmtime-wasi = \"48\"

late = \"1\" # keeps time

lone = \"1\"
";
        assert_eq!(
            problems(check, &[("Cargo.toml", root)]),
            [
                "Cargo.toml:6: no reason for `bare`: say in a comment above it what it is for",
                "Cargo.toml:15: no reason for `lone`: say in a comment above it what it is for",
            ]
        );
    }

    #[test]
    fn a_member_inherits() {
        let member = "[package]\nname = \"a\"\n[dependencies]\nhttp = \"1\"\n";
        let found = problems(check, &[("crates/a/Cargo.toml", member)]);
        assert!(
            found[0].starts_with("crates/a/Cargo.toml:4: `http` is not inherited"),
            "{found:?}"
        );
    }
}
