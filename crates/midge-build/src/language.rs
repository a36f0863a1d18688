//! Which language a project is written in, told by the files that lie in its folder.
//!
//! **Invariant:** a folder that two languages could claim has a fixed answer: the order below.

use std::fmt;
use std::fs;
use std::path::Path;

/// A language that `midge build` knows how to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// With cargo, for `wasm32-wasip2` or `wasm32-wasip1`.
    Rust,
    /// With Go's own compiler, for `wasip1`.
    Go,
    /// With componentize-js.
    JavaScript,
    /// With esbuild, then as JavaScript.
    TypeScript,
    /// With componentize-py.
    Python,
    /// With a clang that has a C library for WASI: zig's, or the WASI SDK's.
    C,
    /// As C.
    Cpp,
    /// With zig.
    Zig,
    /// With asc.
    AssemblyScript,
}

impl Language {
    /// The language of a folder.
    pub fn of(folder: &Path) -> Option<Self> {
        let has = |name: &str| folder.join(name).is_file();
        if has("Cargo.toml") {
            return Some(Self::Rust);
        }
        if has("go.mod") {
            return Some(Self::Go);
        }
        if has("package.json")
            && let Ok(package) = fs::read_to_string(folder.join("package.json"))
        {
            return Some(Self::of_package(folder, &package));
        }
        if has("pyproject.toml") || has("requirements.txt") || has("app.py") {
            return Some(Self::Python);
        }
        if has("build.zig") || any_source(folder, &["zig"]) {
            return Some(Self::Zig);
        }
        if any_source(folder, &["cpp", "cc", "cxx"]) {
            return Some(Self::Cpp);
        }
        any_source(folder, &["c"]).then_some(Self::C)
    }

    fn of_package(folder: &Path, package: &str) -> Self {
        if package.contains("\"assemblyscript\"") {
            Self::AssemblyScript
        } else if folder.join("tsconfig.json").is_file() || any_source(folder, &["ts"]) {
            Self::TypeScript
        } else {
            Self::JavaScript
        }
    }

    /// Its name, as its makers write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Go => "Go",
            Self::JavaScript => "JavaScript",
            Self::TypeScript => "TypeScript",
            Self::Python => "Python",
            Self::C => "C",
            Self::Cpp => "C++",
            Self::Zig => "Zig",
            Self::AssemblyScript => "AssemblyScript",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The source files of these kinds in a folder and its `src`, in order of their paths.
pub(crate) fn sources(folder: &Path, extensions: &[&str]) -> Vec<std::path::PathBuf> {
    let folders = [folder.to_owned(), folder.join("src")];
    let entries = folders.iter().flat_map(fs::read_dir).flatten().flatten();
    let is_source = |path: &std::path::PathBuf| {
        path.extension()
            .is_some_and(|found| extensions.iter().any(|extension| found == *extension))
    };
    let mut found: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(is_source)
        .collect();
    found.sort();
    found
}

fn any_source(folder: &Path, extensions: &[&str]) -> bool {
    !sources(folder, extensions).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: &[(&str, &str)]) -> Option<Language> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Language::of(folder.path())
    }

    #[test]
    fn files_tell_the_language() {
        assert_eq!(check(&[]), None);
        assert_eq!(check(&[("README.md", "")]), None);
        assert_eq!(check(&[("Cargo.toml", "")]), Some(Language::Rust));
        assert_eq!(check(&[("go.mod", "")]), Some(Language::Go));
        assert_eq!(check(&[("package.json", "{}")]), Some(Language::JavaScript));
        assert_eq!(
            check(&[("package.json", "{}"), ("src/index.ts", "")]),
            Some(Language::TypeScript)
        );
        assert_eq!(
            check(&[(
                "package.json",
                r#"{"devDependencies":{"assemblyscript":"1"}}"#
            )]),
            Some(Language::AssemblyScript)
        );
        assert_eq!(check(&[("app.py", "")]), Some(Language::Python));
        assert_eq!(check(&[("src/main.zig", "")]), Some(Language::Zig));
        assert_eq!(
            check(&[("main.cpp", ""), ("http.c", "")]),
            Some(Language::Cpp)
        );
        assert_eq!(check(&[("main.c", "")]), Some(Language::C));
    }
}
