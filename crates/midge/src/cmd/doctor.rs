//! `midge doctor --isolation`: shows that instances on this machine are fresh.
//!
//! Running the canaries is `isolation.rs`; this lays out what they found.

use std::fmt::Write as _;

use anyhow::Context as _;
use midge_sandbox::{ResetMechanism, Scans};

use super::Ending;
use super::fault::{hinted, with_hint};
use crate::cli::DoctorArgs;
use crate::config;
use crate::isolation::{self, Report};
use crate::{log, say};

/// Runs the canaries and tells what they found.
pub(super) fn run(args: DoctorArgs) -> anyhow::Result<Ending> {
    let _log = log::start(&config::default_log().map_err(hinted)?, None);
    let cache_dir = config::cache_dir(args.cache).map_err(hinted)?;
    let (cache, sandbox) = super::open_cache(&cache_dir)?;
    let folder = tempfile::Builder::new()
        .prefix("midge-doctor-")
        .tempdir_in(config::temporary_folder())
        .context("make a folder for temporary files")?;
    let proof = isolation::prove(args.cycles, (&cache, sandbox), folder.path());
    let report = super::block_on(proof)??;
    say::data(&to_text(&report))?;
    if report.stale.is_empty() {
        return Ok(Ending::Done);
    }
    let error = anyhow::anyhow!("instances were not fresh");
    Err(with_hint(
        error,
        "run no foreign code on this machine, and report this with the lines above",
    ))
}

fn to_text(report: &Report) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: &str| {
        let value = say::clean_line(value);
        writeln!(text, "{name:10} {value}").expect("a String takes all writes");
    };
    let reused = match report.reused {
        Some(reused) => format!("{reused} in slots that others had before"),
        None => "each with memory of its own".to_owned(),
    };
    row(
        "instances",
        &format!(
            "{}, {reused}, {} ended by a trap on purpose",
            report.cycles, report.trapped
        ),
    );
    row("time", &format!("{:.1} s", report.took.as_secs_f32()));
    row("reset", &report.mechanism.to_string());
    row("safe here", report.mechanism.why_safe());
    if report.mechanism == ResetMechanism::WrittenPages {
        let Scans { asked, merged } = report.scans;
        row(
            "scans",
            &format!("{asked}, {merged} of them of pages so scattered that gaps were reset too"),
        );
    }
    row(
        "looked at",
        "memory, data, table, globals, segments, descriptors, temporary files",
    );
    if report.stale.is_empty() {
        row("found", "nothing that another instance had left");
    }
    for (what, times) in &report.stale {
        row(
            "found",
            &format!("{what} of another instance, {times} times"),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use insta::assert_snapshot;

    #[test]
    fn what_leaked_is_told_place_by_place() {
        let report = Report {
            mechanism: ResetMechanism::GivenBack,
            cycles: 10,
            reused: Some(8),
            trapped: 3,
            scans: Scans::default(),
            took: Duration::from_millis(1500),
            stale: BTreeMap::from([("table".to_owned(), 2), ("memory".to_owned(), 1)]),
        };
        assert_snapshot!(to_text(&report), @r"
        instances  10, 8 in slots that others had before, 3 ended by a trap on purpose
        time       1.5 s
        reset      pool, copy-on-write images, all pages given back by madvise
        safe here  the kernel takes every page back, and the next instance starts from the component's own image
        looked at  memory, data, table, globals, segments, descriptors, temporary files
        found      memory of another instance, 1 times
        found      table of another instance, 2 times
        ");
    }
}
