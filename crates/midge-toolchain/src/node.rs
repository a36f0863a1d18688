//! npm packages that several projects share.
//!
//! A project in JavaScript wants a hundred megabytes of packages, each test makes several such
//! projects, and most of them want the same ones. They are installed once for all `package.json`
//! that differ in their name only, and linked.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::Toolchains;
use crate::programs::npm;

/// What npm calls the folder of packages.
const NODE_MODULES: &str = "node_modules";
/// What it calls the file that lists them.
const PACKAGE_JSON: &str = "package.json";

impl Toolchains<'_> {
    /// Installs these packages and gives the folder that has them in its `node_modules`.
    ///
    /// # Errors
    ///
    /// npm is not there, or cannot have one of them.
    pub fn npm(&self, name: &str, packages: &[&str]) -> Result<PathBuf> {
        let name = format!("npm-{name}");
        self.once(&name, &packages.join(" "), |folder| npm(folder, packages))
    }

    /// Installs what this `package.json` asks for and gives the `node_modules` folder.
    ///
    /// The line with its name counts for nothing, so that the text may be a template's.
    ///
    /// # Errors
    ///
    /// npm is not there, or cannot have one of the packages.
    pub fn node_modules(&self, package_json: &str) -> Result<PathBuf> {
        let text = without_name(package_json);
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let name = format!("npm-{:016x}", hasher.finish());
        let what = format!("npm packages\n{text}");
        let folder = self.once(&name, &what, |folder| {
            fs::write(folder.join(PACKAGE_JSON), &text).context("write package.json")?;
            npm(folder, &[])?;
            // A project without packages has none, and can be linked to all the same.
            fs::create_dir_all(folder.join(NODE_MODULES)).context("make an empty node_modules")
        })?;
        Ok(folder.join(NODE_MODULES))
    }

    /// Gives a project the packages that its `package.json` asks for, as a link.
    ///
    /// # Errors
    ///
    /// As [`Toolchains::node_modules`]; and the project has no `package.json`, or packages already.
    pub fn link_node_modules(&self, project: &Path) -> Result<()> {
        let file = project.join(PACKAGE_JSON);
        let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let modules = self.node_modules(&text)?;
        symlink(modules, project.join(NODE_MODULES)).context("link the packages")
    }
}

fn without_name(package_json: &str) -> String {
    let lines = package_json
        .lines()
        .filter(|line| !line.trim_start().starts_with("\"name\":"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::without_name;

    #[test]
    fn projects_that_differ_in_name_share_packages() {
        let project = |name: &str| {
            format!("{{\n  \"name\": \"{name}\",\n  \"dependencies\": {{ \"names\": \"1\" }}\n}}\n")
        };
        let text = without_name(&project("{{name}}"));
        assert_eq!(text, without_name(&project("hello")));
        assert_eq!(text, "{\n  \"dependencies\": { \"names\": \"1\" }\n}\n");
    }
}
