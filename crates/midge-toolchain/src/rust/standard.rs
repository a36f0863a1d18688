//! The standard library, compiled for WebAssembly.
//!
//! Cargo builds it as it would for `-Zbuild-std`, from the source that belongs to the compiler and
//! the crates that this names in its lockfile. What it calls and the C library lacks
//! (`guests/toolchain/absent.rs`) is linked into the objects that a program starts with.
//!
//! **Invariant:** what is compiled carries no path of this machine.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::TARGETS;
use crate::once::remove;
use crate::run::run;

/// The functions that std names and the C library lacks.
const ABSENT: &str = include_str!("../../../../guests/toolchain/absent.rs");
/// The objects that a program starts with.
const STARTS: [&str; 2] = ["crt1-command.o", "crt1-reactor.o"];

/// What it is made of and where.
pub(super) struct Parts<'a> {
    /// The whole toolchain.
    pub(super) folder: &'a Path,
    /// Debian's C library and the source, and what is left over.
    pub(super) scratch: &'a Path,
    pub(super) rustc: &'a Path,
    /// Where rustc looks for standard libraries.
    pub(super) rustlib: &'a Path,
    /// LLVM's linker.
    pub(super) linker: &'a Path,
}

/// Builds the library for all targets and puts it where rustc finds it.
pub(super) fn build(parts: &Parts<'_>) -> Result<()> {
    let source = parts.rustlib.join("src");
    fs::create_dir_all(&source).context("make the folder of std's source")?;
    let unpacked = source_folder(&parts.scratch.join("usr/src"))?;
    remove(&source.join("rust"))?;
    symlink(unpacked, source.join("rust")).context("link std's source")?;
    for target in TARGETS {
        let folder = parts.self_contained(target);
        fs::create_dir_all(&folder).context("make the folder of the C library")?;
        for file in STARTS.iter().chain(&["libc.a"]) {
            fs::copy(parts.c_library().join(file), folder.join(file))
                .with_context(|| format!("copy {file} of the C library"))?;
        }
    }
    let made = parts.cargo_build()?;
    for target in TARGETS {
        let from = made.join(target).join("release/deps");
        let to = parts.rustlib.join(target).join("lib");
        let mut moved = 0_usize;
        for entry in fs::read_dir(&from).context("list what Cargo made")? {
            let path = entry?.path();
            let name = path.file_name().expect("an entry has a name");
            let wanted = path.extension() == Some(OsStr::new("rlib"))
                && !name.to_string_lossy().starts_with("libstandard-");
            if wanted {
                fs::rename(&path, to.join(name)).context("move what Cargo made")?;
                moved += 1;
            }
        }
        ensure!(moved > 0, "Cargo made no library for {target}");
        parts.complete(target)?;
    }
    remove(&source)
}

impl Parts<'_> {
    fn c_library(&self) -> PathBuf {
        self.scratch.join("usr/lib/wasm32-wasi")
    }

    fn self_contained(&self, target: &str) -> PathBuf {
        self.rustlib.join(target).join("lib/self-contained")
    }

    /// Runs Cargo, for all targets at once, and gives its target folder.
    fn cargo_build(&self) -> Result<PathBuf> {
        // A crate without anything: only what it depends on is wanted.
        let folder = self.scratch.join("standard");
        fs::create_dir_all(folder.join("src")).context("make an empty crate")?;
        fs::write(folder.join("src/lib.rs"), "#![no_std]\n").context("write an empty crate")?;
        let manifest = "[package]\nname = \"standard\"\nedition = \"2024\"\n[workspace]\n";
        fs::write(folder.join("Cargo.toml"), manifest).context("write an empty crate")?;
        let target_folder = folder.join("target");

        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .current_dir(&folder)
            .args(["build", "--release", "--quiet"])
            // Without backtraces, which a WebAssembly guest does not have and which are a third of it.
            .args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features="])
            .args(TARGETS.iter().flat_map(|target| ["--target", target]));
        for name in [
            "CARGO_BUILD_TARGET",
            "CARGO_PROFILE_RELEASE_PANIC",
            "RUSTC_WORKSPACE_WRAPPER",
            "RUSTC_WRAPPER",
            "RUSTFLAGS",
        ] {
            cargo.env_remove(name);
        }
        cargo
            .env("CARGO_TARGET_DIR", &target_folder)
            .env("CARGO_ENCODED_RUSTFLAGS", self.flags())
            // What is released may build std only when it is told so.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTC", self.rustc);
        run(&mut cargo).context("build the standard library")?;
        Ok(target_folder)
    }

    fn flags(&self) -> OsString {
        // Bitcode: guests may ask for optimisation across crates.
        let mut flags = OsString::from("-Cembed-bitcode=yes");
        let mut remaps = vec![(self.folder.to_owned(), "/toolchain")];
        let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
        let cargo_home = cargo_home.or_else(|| Some(env::home_dir()?.join(".cargo")));
        remaps.extend(cargo_home.map(|folder| (folder, "/cargo")));
        for (from, to) in remaps {
            flags.push("\u{1f}--remap-path-prefix="); // what Cargo wants between flags
            flags.push(from);
            flags.push("=");
            flags.push(to);
        }
        flags
    }

    /// Adds what the C library lacks to the objects that a program starts with.
    fn complete(&self, target: &str) -> Result<()> {
        let source = self.scratch.join("absent.rs");
        fs::write(&source, ABSENT).context("write what the C library lacks")?;
        let object = self.scratch.join("absent.o");
        let mut rustc = Command::new(self.rustc);
        rustc.args(["--edition=2024", "--crate-type=rlib", "--emit=obj"]);
        rustc.args(["-Copt-level=s", "-Cpanic=abort", "--target", target, "-o"]);
        rustc.arg(&object).arg(&source);
        run(rustc.env("RUSTC_BOOTSTRAP", "1")).context("compile what the C library lacks")?;
        for start in STARTS {
            let made = self.self_contained(target).join(start);
            let mut linker = Command::new(self.linker);
            linker.args(["-flavor", "wasm", "-r", "-o"]).arg(&made);
            let debians = self.c_library().join(start);
            run(linker.arg(debians).arg(&object)).context("link what the C library lacks")?;
        }
        Ok(())
    }
}

/// The one folder in `sources` that has a standard library.
fn source_folder(sources: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(sources).context("list Debian's sources")?;
    let mut folders = entries.filter_map(|entry| Some(entry.ok()?.path()));
    folders
        .find(|folder| folder.join("library/std").exists())
        .context("Debian's source of Rust has no standard library")
}
