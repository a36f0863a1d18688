//! Rust with `wasm32-wasip1` and `wasm32-wasip2`.
//!
//! Where rustup can be reached these are one command away; on a machine that has nothing but package
//! registries they are made: Debian's `rustc-web`, which comes with the source of its standard
//! library, builds that library for both (`rust/standard.rs`) upon Debian's C library for WASI. Its
//! `malloc` is Doug Lea's, like that of rustup's targets. The linkers are the machine's own Rust's.
//!
//! **Invariant:** the machine's own Rust is not changed, and `rustc` and its standard library are
//! always of one version, whichever Debian has today.

mod standard;

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf, absolute};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::debian::Debian;
use crate::once::remove;
use crate::programs::{make_program, quoted};
use crate::run::{answer, run};
use crate::{PROGRAMS, Toolchains};

/// What guests in Rust are compiled to.
pub const TARGETS: [&str; 2] = ["wasm32-wasip1", "wasm32-wasip2"];

/// Counts up when anything here changes what is made.
const RECIPE: &str = "Rust for wasm32-wasip1 and wasm32-wasip2, recipe 1";
/// Names the folder of a Rust that has the targets.
const GIVEN: &str = "MIDGE_RUST_WASM";
/// The linkers that Debian's Rust does not bring.
const LINKERS: [&str; 3] = ["rust-lld", "gcc-ld", "wasm-component-ld"];

/// A Rust that has the targets.
#[derive(Clone, Debug)]
pub struct Rust {
    /// The folder of its `cargo` and `rustc`; empty where the machine's own will do.
    pub programs: PathBuf,
    /// Its compiler, to be given to Cargo as `RUSTC`.
    pub rustc: PathBuf,
}

impl Toolchains<'_> {
    pub(crate) fn find_rust(&self) -> Result<Rust> {
        if let Some(given) = env::var_os(GIVEN) {
            let rustc = absolute(Path::new(&given).join("bin/rustc"))?;
            ensure!(
                rustc.exists(),
                "{GIVEN} names a folder without `{}`",
                rustc.display()
            );
            let what = format!("Rust of {}", rustc.display());
            let folder = self.once("rust-given", &what, |folder| {
                write_programs(&folder.join(PROGRAMS), &rustc, None)
            })?;
            let programs = folder.join(PROGRAMS);
            return Ok(Rust { programs, rustc });
        }
        let own = own_sysroot()?;
        let targets = own.join("lib/rustlib");
        if TARGETS
            .iter()
            .all(|target| targets.join(target).join("lib").exists())
        {
            let folder = self.once("rust-own", "Rust of this machine", |folder| {
                fs::create_dir(folder.join(PROGRAMS)).context("make an empty folder")
            })?;
            return Ok(Rust {
                programs: folder.join(PROGRAMS),
                rustc: own.join("bin/rustc"),
            });
        }
        // Its linkers are linked to: another Rust on this machine is another recipe.
        let what = format!("{RECIPE}\nlinkers of {}", own.display());
        let folder = self.once("rust", &what, |folder| make(folder, &own))?;
        let programs = folder.join(PROGRAMS);
        Ok(Rust {
            rustc: programs.join("rustc"),
            programs,
        })
    }
}

/// Makes a Rust in `folder`.
fn make(folder: &Path, own: &Path) -> Result<()> {
    let (arch, host) = (env::consts::ARCH, host()?);
    let carried = own.join("lib/rustlib").join(&host).join("bin");
    for linker in LINKERS {
        ensure!(
            carried.join(linker).exists(),
            "this machine's Rust brings no `{linker}`; use one of rustup's"
        );
    }
    let scratch = folder.join("scratch");
    let debian = Debian::open(scratch.join("debian"))?;
    let standard = debian.dependency("libstd-rust-web-dev", "libstd-rust-web-")?;
    let llvm = debian.dependency(&standard, "libllvm")?;
    let root = folder.join("root");
    debian.unpack(
        &["rustc-web", &standard, "libstd-rust-web-dev", &llvm],
        &root,
        "usr/*",
    )?;
    debian.unpack(&["wasi-libc"], &scratch, "usr/lib/*")?;
    // A tenth of it; the rest is the compiler's.
    debian.unpack(&["rust-web-src"], &scratch, "usr/src/*/library/*")?;

    let usr = root.join("usr");
    let libraries = usr.join("lib").join(format!("{arch}-linux-gnu"));
    let programs = folder.join(PROGRAMS);
    write_programs(&programs, &usr.join("bin/rustc"), Some(&libraries))?;
    let rustc = programs.join("rustc");
    if run(Command::new(&rustc).arg("--version")).is_err() {
        let missing = debian.libraries_of(&llvm)?;
        let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
        debian.unpack(&missing, &root, "usr/lib/*")?;
        run(Command::new(&rustc).arg("--version")).context("start Debian's rustc")?;
    }
    let rustlib = usr.join("lib/rustlib");
    let linkers = rustlib.join(&host).join("bin");
    fs::create_dir_all(&linkers).context("make the folder of the linkers")?;
    for linker in LINKERS {
        symlink(carried.join(linker), linkers.join(linker)).context("link a linker")?;
    }
    standard::build(&standard::Parts {
        folder,
        scratch: &scratch,
        rustc: &rustc,
        rustlib: &rustlib,
        linker: &linkers.join("rust-lld"),
    })?;
    for left in [&scratch, &usr.join("share"), &usr.join("libexec")] {
        remove(left)?;
    }
    Ok(())
}

/// Writes a `rustc`, and a `cargo` that calls it.
fn write_programs(folder: &Path, rustc: &Path, libraries: Option<&Path>) -> Result<()> {
    fs::create_dir_all(folder).context("make the folder of the programs")?;
    let word = |path: &Path| quoted(&path.to_string_lossy());
    // Cargo and test runners set the variable too, to the libraries of another Rust.
    let set = libraries.map(|path| format!("LD_LIBRARY_PATH={} ", word(path)));
    let set = set.unwrap_or_default();
    let ours = folder.join("rustc");
    let cargo = own_sysroot()?.join("bin/cargo");
    let cargo = if cargo.exists() {
        cargo
    } else {
        PathBuf::from("/usr/bin/cargo")
    };
    for (path, script) in [
        (&ours, format!("{set}exec {} \"$@\"", word(rustc))),
        (
            &folder.join("cargo"),
            format!(
                "unset RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER\nRUSTC={} exec {} \"$@\"",
                word(&ours),
                word(&cargo)
            ),
        ),
    ] {
        fs::write(path, format!("#!/bin/sh\n{script}\n")).context("write a program")?;
        make_program(path)?;
    }
    Ok(())
}

/// Where the machine's own Rust lies.
fn own_sysroot() -> Result<PathBuf> {
    let said = answer(Command::new("rustc").args(["--print", "sysroot"]))
        .context("ask this machine's Rust where it lies")?;
    Ok(PathBuf::from(said.trim()))
}

fn host() -> Result<String> {
    let said = answer(Command::new("rustc").arg("-vV"))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("`rustc -vV` names no host")
}
