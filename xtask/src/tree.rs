//! The repository as tidy sees it: our manifests, our Rust files and the prebuilt guests.
//!
//! Read once, so that the checks are functions from this to a list of problems and can be shown a
//! made-up tree. What is a fault is for the checks to say; this only decides what belongs to us:
//! not build output, not hidden folders, not what npm brought.
//!
//! **Invariant:** paths are relative to the root, with `/`, and the lists are sorted.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// A folder tree nested deeper than this is a loop of links, not ours.
const DEPTH_MAX: usize = 16;

/// Everything a check may look at.
pub(crate) struct Tree {
    /// The root `Cargo.toml`.
    pub(crate) workspace: Manifest,
    /// `Cargo.toml` of each folder in `crates/`, of benches and of xtask.
    pub(crate) members: Vec<Manifest>,
    /// Every `.rs` file, the guests' included.
    pub(crate) rust: Vec<SourceFile>,
    /// Paths of the prebuilt fixtures.
    pub(crate) fixtures: Vec<String>,
}

/// One `.rs` file.
pub(crate) struct SourceFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// One `Cargo.toml`, as text (for line numbers) and as data.
pub(crate) struct Manifest {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) table: toml::Table,
}

impl Tree {
    /// Reads the tree under `root`.
    pub(crate) fn load(root: &Path) -> Result<Self> {
        let mut paths = Vec::new();
        walk(root, "", DEPTH_MAX, &mut paths)?;
        paths.sort();

        let mut tree = Self {
            workspace: Manifest::read(root, "Cargo.toml")?,
            members: Vec::new(),
            rust: Vec::new(),
            fixtures: Vec::new(),
        };
        for path in paths {
            if is_member_manifest(&path) {
                tree.members.push(Manifest::read(root, &path)?);
            } else if path.ends_with(".rs") {
                let text = read(root, &path)?;
                tree.rust.push(SourceFile { path, text });
            } else if path.starts_with("guests/fixtures/prebuilt/") && path.ends_with(".wasm") {
                tree.fixtures.push(path);
            }
        }
        Ok(tree)
    }

    /// The Rust files of the product, of benches and of xtask; the guests play by looser rules.
    pub(crate) fn host_rust(&self) -> impl Iterator<Item = &SourceFile> {
        self.rust.iter().filter(|file| is_host(&file.path))
    }
}

impl Manifest {
    fn read(root: &Path, path: &str) -> Result<Self> {
        let text = read(root, path)?;
        let table = text.parse().with_context(|| format!("parse `{path}`"))?;
        Ok(Self {
            path: path.to_owned(),
            text,
            table,
        })
    }

    /// The package's name, or the manifest's path where none is given.
    pub(crate) fn package(&self) -> &str {
        let package = self.table.get("package").and_then(toml::Value::as_table);
        let name = package
            .and_then(|package| package.get("name"))
            .and_then(toml::Value::as_str);
        name.unwrap_or(&self.path)
    }
}

fn is_host(path: &str) -> bool {
    let host = ["crates/", "xtask/", "benches/"];
    host.iter().any(|folder| path.starts_with(folder)) && !path.starts_with("benches/guests/")
}

fn is_member_manifest(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(
        parts.as_slice(),
        ["crates", _, "Cargo.toml"] | ["xtask" | "benches", "Cargo.toml"]
    )
}

fn read(root: &Path, path: &str) -> Result<String> {
    fs::read_to_string(root.join(path)).with_context(|| format!("read `{path}`"))
}

fn walk(root: &Path, folder: &str, depth_left: usize, found: &mut Vec<String>) -> Result<()> {
    anyhow::ensure!(
        depth_left > 0,
        "`{folder}` is nested more than {DEPTH_MAX} folders deep"
    );
    let entries = fs::read_dir(root.join(folder)).with_context(|| format!("list `{folder}`"))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("list `{folder}`"))?;
        // Our own files have names in UTF-8; anything else is not ours to judge.
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let path = if folder.is_empty() {
            name.clone()
        } else {
            format!("{folder}/{name}")
        };
        let kind = entry
            .file_type()
            .with_context(|| format!("look at `{path}`"))?;
        if kind.is_file() {
            found.push(path);
        } else if kind.is_dir() && !skipped(&name) {
            walk(root, &path, depth_left - 1, found)?;
        }
    }
    Ok(())
}

fn skipped(folder: &str) -> bool {
    folder.starts_with('.') || matches!(folder, "target" | "node_modules")
}

#[cfg(test)]
pub(crate) mod testing {
    //! Trees made up for tests.

    use super::Tree;

    /// A tree of these files, in a folder that goes away with the test. A root manifest without
    /// dependencies is added where none is given.
    pub(crate) fn made_up(files: &[(&str, &str)]) -> Tree {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("Cargo.toml"), "[workspace]\n").unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Tree::load(root.path()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::made_up;

    #[test]
    fn build_output_and_hidden_folders_are_not_ours() {
        let tree = made_up(&[
            ("crates/a/src/lib.rs", ""),
            ("guests/target/x/build.rs", ""),
            (".git/hook.rs", ""),
            ("dashboard/node_modules/x/y.rs", ""),
        ]);
        let paths: Vec<&str> = tree.rust.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["crates/a/src/lib.rs"]);
    }

    #[test]
    fn members_are_the_crates_and_xtask() {
        let tree = made_up(&[
            ("crates/a/Cargo.toml", "[package]\nname = \"a\"\n"),
            ("xtask/Cargo.toml", "[package]\nname = \"xtask\"\n"),
            (
                "guests/examples/hello/Cargo.toml",
                "[package]\nname = \"hello\"\n",
            ),
        ]);
        let names: Vec<&str> = tree.members.iter().map(super::Manifest::package).collect();
        assert_eq!(names, ["a", "xtask"]);
    }
}
