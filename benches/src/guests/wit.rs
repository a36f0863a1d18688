//! Interfaces that guests are built against, and the last step of Go's.
//!
//! The text of `wasi:http` 0.2 lies in the sources of the engine that this program is linked with,
//! so that none has to be copied or fetched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The world's name in `benches/guests/world.wit`.
pub(super) const WORLD: &str = "proxy";
/// The version of the engine's text.
pub(super) const NEWEST: &str = "0.2.12";
/// The engine that componentize-js puts into each component is built for this one. The two differ
/// in nothing that we use.
pub(super) const OF_JAVASCRIPT: &str = "0.2.10";

/// The package whose sources have the text.
const ENGINE: &str = "wasmtime-wasi-http";

/// Where the engine's packages are on this machine.
pub(super) fn engines_packages(root: &Path) -> Result<PathBuf> {
    let output = Command::new("cargo")
        .args([
            "metadata",
            "--format-version=1",
            "--locked",
            "--offline",
            "--filter-platform",
        ])
        // Packages of other platforms need not be on this machine.
        .arg(format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
        .current_dir(root)
        .output()
        .context("start cargo")?;
    ensure!(
        output.status.success(),
        "cargo knows no packages: {}",
        output.status
    );
    let known: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("read what cargo knows")?;
    let packages = known["packages"].as_array().into_iter().flatten();
    let manifest = packages
        .filter(|package| package["name"] == ENGINE)
        .find_map(|package| package["manifest_path"].as_str())
        .with_context(|| format!("cargo knows no {ENGINE}"))?;
    Ok(Path::new(manifest).with_file_name("wit").join("deps"))
}

/// A folder with a world and the packages it names.
pub(super) struct Wit(PathBuf);

impl Wit {
    /// Puts the world and the engine's packages into a folder below `folder`, in this version.
    pub(super) fn copy(engine: &Path, world: &Path, version: &str, folder: &Path) -> Result<Self> {
        let folder = folder.join(version);
        let packages = folder.join("deps");
        fs::create_dir_all(&packages).context("make the folder of the interfaces")?;
        let copy = |from: &Path, to: PathBuf| -> Result<()> {
            let text =
                fs::read_to_string(from).with_context(|| format!("read {}", from.display()))?;
            fs::write(&to, text.replace(NEWEST, version))
                .with_context(|| format!("write {}", to.display()))
        };
        copy(world, folder.join("world.wit"))?;
        for entry in fs::read_dir(engine).with_context(|| format!("read {}", engine.display()))? {
            let entry = entry?;
            copy(&entry.path(), packages.join(entry.file_name()))?;
        }
        Ok(Self(folder))
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    /// Makes a component of Go's core module, which exports what the world asks.
    pub(super) fn component(&self, module: Vec<u8>) -> Result<Vec<u8>> {
        Ok(midge_build::component_of_reactor(module, &self.0)?)
    }
}
