//! Where and when a run took place, and what exactly was compared.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use crate::lab::Lab;
use crate::peers;
use crate::record::Machine;

/// The machine below us.
pub fn machine() -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    Machine {
        cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown".to_owned()),
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        memory_mib: field(&read("/proc/meminfo"), "MemTotal")
            .and_then(|text| text.strip_suffix("kB")?.trim().parse::<u64>().ok())
            .map_or(0, |kib| kib / 1024),
    }
}

fn field(text: &str, name: &str) -> Option<String> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(key, _)| key.trim() == name)?;
    Some(value.trim().to_owned())
}

/// The time in UTC, to the second.
#[expect(
    clippy::disallowed_methods,
    reason = "the date of a run is the wall clock's"
)]
pub fn date() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// Everybody's version, by name.
pub fn versions(lab: &Lab) -> BTreeMap<String, String> {
    let midge = said(Command::new(&lab.midge).arg("--version"));
    let found = [
        ("midge", midge),
        ("revision", revision(&lab.root)),
        ("wasmtime serve", lab.peers.wasmtime.version()),
        ("workerd", lab.peers.workerd.version()),
        ("spin", lab.peers.spin.version()),
        ("wrk", peers::wrk_version()),
        ("rustc", said(Command::new("rustc").arg("--version"))),
    ];
    let known = found
        .into_iter()
        .filter_map(|(name, version)| Some((name.to_owned(), version?)));
    known.collect()
}

/// The commit, and whether files differ from it.
fn revision(root: &Path) -> Option<String> {
    let git = |words: &[&str]| said(Command::new("git").arg("-C").arg(root).args(words));
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    match git(&["status", "--porcelain"]) {
        Some(changes) if !changes.is_empty() => Some(format!("{commit} with changes")),
        _ => Some(commit),
    }
}

fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{field, machine};

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "processor\t: 0\nmodel\t\t: 2\nmodel name\t: AMD EPYC\n";
        assert_eq!(field(text, "model name").as_deref(), Some("AMD EPYC"));
        assert_eq!(field(text, "name"), None);
    }

    #[test]
    fn this_machine_has_cores_and_memory() {
        let here = machine();
        assert!(
            here.cores > 0 && here.memory_mib > 0 && !here.kernel.is_empty(),
            "{here:?}"
        );
    }
}
