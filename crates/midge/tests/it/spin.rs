//! Guests made with the SDKs of another platform, Spin, as its users write them: built with what the
//! SDK says, run as they are.
//!
//! Each counts in the store `default` and greets as the variable `greeting` says. Sources are in
//! `guests/spin`; what of Spin's interfaces there is, `wit/spin.wit` says.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use midge_testkit::MidgeBuilder;
use midge_testkit::http::get;
use midge_testkit::toolchain::{Toolchains, or_skip, run};

use crate::kit::BINARY;

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../guests/spin");

#[tokio::test]
async fn rust() {
    let Some(rust) = or_skip(Toolchains::shared().rust()) else {
        return;
    };
    // The SDK's own dependencies take a minute to compile, and are compiled once.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("spin-rust");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--locked", "--quiet"]);
    cargo.args(["--target", "wasm32-wasip1", "--target-dir"]);
    cargo.arg(&target).env("RUSTC", &rust.rustc);
    for name in ["CARGO_TARGET_DIR", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        cargo.env_remove(name);
    }
    for name in ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"] {
        cargo.env_remove(name);
    }
    run(cargo.current_dir(source("rust"))).unwrap();
    counts(&target.join("wasm32-wasip1/release/spin_rust.wasm")).await;
}

#[tokio::test]
async fn javascript() {
    let folder = tempfile::tempdir().unwrap();
    let package = fs::read_to_string(source("js").join("package.json")).unwrap();
    let Some(modules) = or_skip(Toolchains::shared().node_modules(&package)) else {
        return;
    };
    symlink(&modules, folder.path().join("node_modules")).unwrap();
    fs::copy(
        source("js").join("src/index.js"),
        folder.path().join("index.js"),
    )
    .unwrap();
    let mut bundle = Command::new(modules.join(".bin/esbuild"));
    bundle.args(["--bundle", "--format=esm", "--log-level=warning"]);
    bundle.args(["--external:fermyon:*", "--external:wasi:*"]);
    bundle.args(["index.js", "--outfile=bundle.js"]);
    run(bundle.current_dir(folder.path())).unwrap();
    let mut componentize = Command::new(modules.join(".bin/j2w"));
    componentize.args(["--input", "bundle.js", "--output", "app.wasm"]);
    componentize.args(["--trigger-type", "spin-http"]);
    run(componentize.current_dir(folder.path())).unwrap();
    counts(&folder.path().join("app.wasm")).await;
}

#[tokio::test]
async fn python() {
    let Some(packages) = or_skip(Toolchains::shared().spin_for_python()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    fs::copy(
        source("python").join("app.py"),
        folder.path().join("app.py"),
    )
    .unwrap();
    let mut componentize = Command::new("python3");
    let main =
        "import sys, componentize_py; sys.argv[0] = 'componentize-py'; componentize_py.script()";
    componentize.args(["-c", main, "-w", "spin-http"]);
    componentize
        .args(["componentize", "-p", ".", "-p"])
        .arg(&packages);
    componentize.args(["app", "-o", "app.wasm"]);
    componentize.env("PYTHONPATH", &packages);
    run(componentize.current_dir(folder.path())).unwrap();
    counts(&folder.path().join("app.wasm")).await;
}

fn source(language: &str) -> PathBuf {
    Path::new(SOURCES).join(language)
}

/// Runs it and asks it three times.
async fn counts(component: &Path) {
    let flags = ["--workers", "1", "--allow-kv", "default"];

    let midge = MidgeBuilder::run(BINARY, component).args(flags);
    let midge = midge.args(["--env", "GREETING=Good day"]).start();
    for (path, told) in [
        ("/apples", "Good day, apples 1 of apples\n"),
        ("/apples", "Good day, apples 2 of apples\n"),
        ("/pears", "Good day, pears 1 of apples,pears\n"),
    ] {
        let answer = get(midge.addr(), path).await.unwrap();
        assert_eq!(answer.status, 200, "{}\n{}", answer.text(), midge.said());
        assert_eq!(answer.text(), told);
        assert_eq!(answer.headers["content-type"], "text/plain");
    }
}
