//! Rust: cargo, for `wasm32-wasip2`, or for `wasm32-wasip1` where the manifest's component lies
//! there.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{NEWEST, Plan, interfaces};
use crate::error::BuildError;
use crate::language::Language;
use crate::project::Project;
use crate::tools::{CARGO, find};

/// Targets that make a component, or a command that is run as it is.
const TARGETS: [&str; 2] = ["wasm32-wasip2", "wasm32-wasip1"];

pub(super) fn plan(project: &Project) -> Result<Plan, BuildError> {
    let product = project.component();
    let is_in = |target: &&&str| {
        product
            .components()
            .any(|part| part.as_os_str() == **target)
    };
    let target = TARGETS.iter().find(is_in).unwrap_or(&TARGETS[0]);
    let cargo = CARGO.step(Language::Rust, project.folder())?;
    has_target(project.folder(), target)?;
    if project.wit().is_dir() {
        // Macros read them while cargo compiles.
        interfaces(project, NEWEST)?;
    }
    let profile = match product.components().any(|part| part.as_os_str() == "debug") {
        true => "dev",
        false => "release",
    };
    let mut step = cargo.args(["build", "--profile", profile, "--target", target]);
    // The manifest says where, whatever the environment says about other projects.
    if let Some(folder) = product.ancestors().nth(3) {
        step = step.arg("--target-dir").arg(folder);
    }
    Ok(Plan::component(
        Language::Rust,
        vec![step],
        product.to_owned(),
    ))
}

/// cargo says that it cannot find crate `core`, which tells nobody what to do.
fn has_target(folder: &Path, target: &str) -> Result<(), BuildError> {
    let rustc = std::env::var_os("RUSTC").map(Into::into);
    let Some(rustc) = rustc.or_else(|| find("rustc", folder)) else {
        return Ok(());
    };
    let known = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", target])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output();
    let is_there = known.is_ok_and(|known| {
        let libraries = String::from_utf8_lossy(&known.stdout);
        known.status.success() && Path::new(libraries.trim()).is_dir()
    });
    if is_there {
        return Ok(());
    }
    Err(BuildError::NoPart {
        lack: format!("this Rust has no standard library for {target}"),
        get: format!("`rustup target add {target}`"),
    })
}
