//! Finds the texts of the WASI interfaces in the sources of the engine's crates, which cargo has
//! on this machine anyway, so that the binary can give them to projects and none has to be copied.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The crate that has them, and the folders below it: WASI 0.2 and 0.3.
const ENGINE: &str = "wasmtime-wasi-http";
const FOLDERS: &[&str] = &["wit/deps", "src/p3/wit/deps"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where we are"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where to write"));
    let root = here.join("../..");
    println!(
        "cargo::rerun-if-changed={}",
        root.join("Cargo.lock").display()
    );
    let own = root.join("wit");
    println!("cargo::rerun-if-changed={}", own.display());
    // `include_dir` does not tell cargo what it read.
    println!(
        "cargo::rerun-if-changed={}",
        root.join("templates").display()
    );
    let engine = engines_sources(&root);
    let folders = FOLDERS.iter().map(|folder| engine.join(folder));
    let mut list = String::from("&[\n");
    for folder in folders.chain([own]) {
        for file in texts_in(&folder) {
            writeln!(list, "    include_str!({:?}),", file.display().to_string())
                .expect("a String takes everything");
        }
    }
    list.push(']');
    fs::write(out.join("packages.rs"), list).expect("write the list of packages");
}

/// The folder of the engine's crate on this machine.
fn engines_sources(root: &Path) -> PathBuf {
    let cargo = env::var_os("CARGO").expect("cargo says which it is");
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--locked", "--offline"])
        // Packages of other platforms need not be on this machine.
        .arg("--filter-platform")
        .arg(env::var_os("TARGET").expect("cargo says what it builds for"))
        .current_dir(root)
        .output()
        .expect("start cargo");
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let known: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let packages = known["packages"].as_array().into_iter().flatten();
    let manifest = packages
        .filter(|package| package["name"] == ENGINE)
        .find_map(|package| package["manifest_path"].as_str())
        .expect("the engine's HTTP crate is a dependency of the workspace");
    Path::new(manifest)
        .parent()
        .expect("a manifest lies in a folder")
        .to_owned()
}

/// The interface texts of a folder, in order of their names.
fn texts_in(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("read `{}`: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("read a folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wit"))
        .collect();
    files.sort();
    files
}
