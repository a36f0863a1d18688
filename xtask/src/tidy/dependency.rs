//! What a member's manifest says it uses.
//!
//! Reads every section that can name a dependency, those for one target included, and looks up
//! in the root manifest what `workspace = true` stands for, so that a rename does not hide a crate.
//! What may use what is for the checks.

use toml::{Table, Value};

use crate::tree::Manifest;

/// One dependency of one member.
pub(super) struct Dependency<'a> {
    /// The key in the manifest, which is what the code calls it.
    pub(super) key: &'a str,
    /// The crate's real name.
    pub(super) package: &'a str,
    /// Only tests, examples and benchmarks get it.
    pub(super) dev: bool,
    /// Says `workspace = true`.
    pub(super) inherits: bool,
}

/// Everything `member` uses, in the manifest's order of sections.
pub(super) fn dependencies<'a>(
    member: &'a Manifest,
    workspace: &'a Manifest,
) -> Vec<Dependency<'a>> {
    let mut found = Vec::new();
    let shared = shared(workspace);
    for table in with_targets(&member.table) {
        for (section, dev) in [
            ("dependencies", false),
            ("build-dependencies", false),
            ("dev-dependencies", true),
        ] {
            let Some(entries) = table.get(section).and_then(Value::as_table) else {
                continue;
            };
            for (key, value) in entries {
                let inherits = value.get("workspace").and_then(Value::as_bool) == Some(true);
                let described = if inherits {
                    shared.and_then(|s| s.get(key))
                } else {
                    Some(value)
                };
                let package = described.and_then(|value| value.get("package"));
                let package = package.and_then(Value::as_str).unwrap_or(key);
                found.push(Dependency {
                    key,
                    package,
                    dev,
                    inherits,
                });
            }
        }
    }
    found
}

/// The root manifest's `[workspace.dependencies]`.
pub(super) fn shared(workspace: &Manifest) -> Option<&Table> {
    let table = workspace.table.get("workspace")?.as_table()?;
    table.get("dependencies")?.as_table()
}

/// The line of `key` in the manifest, counted from 1.
pub(super) fn line_of(manifest: &Manifest, key: &str) -> Option<usize> {
    let is_entry = |line: &str| {
        let rest = line.strip_prefix(key);
        rest.is_some_and(|rest| rest.trim_start().starts_with(['=', '.']))
    };
    manifest
        .text
        .lines()
        .position(is_entry)
        .map(|index| index + 1)
}

/// The manifest's own table and each of `[target.*]`.
fn with_targets(manifest: &Table) -> impl Iterator<Item = &Table> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let targets = targets.into_iter().flat_map(|targets| targets.values());
    std::iter::once(manifest).chain(targets.filter_map(Value::as_table))
}

#[cfg(test)]
mod tests {
    use super::dependencies;
    use crate::tree::testing::made_up;

    #[test]
    fn every_section_counts_and_a_rename_hides_nothing() {
        let tree = made_up(&[
            (
                "Cargo.toml",
                "[workspace.dependencies]\nengine = { package = \"wasmtime\", version = \"1\" }\n",
            ),
            (
                "crates/a/Cargo.toml",
                "[dependencies]\nengine.workspace = true\nplain = \"1\"\n\
                 [dev-dependencies]\ninsta = { version = \"1\" }\n\
                 [target.'cfg(unix)'.build-dependencies]\nx = { package = \"y\" }\n",
            ),
        ]);
        let found: Vec<_> = dependencies(&tree.members[0], &tree.workspace)
            .iter()
            .map(|d| {
                format!(
                    "{}={} dev:{} inherits:{}",
                    d.key, d.package, d.dev, d.inherits
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                "engine=wasmtime dev:false inherits:true",
                "plain=plain dev:false inherits:false",
                "insta=insta dev:true inherits:false",
                "x=y dev:false inherits:false",
            ]
        );
    }
}
