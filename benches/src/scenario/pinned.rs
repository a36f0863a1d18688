//! Whether a second core costs the first anything: one pinned worker beside two.
//!
//! Every worker gets the same load, at fixed times and well below what it could take, so that the
//! client finds room on the same two cores. What is compared is the processor time of a request.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::contest::measure;
use crate::lab::Lab;
use crate::load::client;
use crate::proc;
use crate::record::{Measure, Run};
use crate::server::Server;
use crate::work::Work;

/// Share of a core that the requests of each worker take.
const BUSY: f64 = 0.3;
/// Connections for each worker.
const CONNECTIONS: usize = 16;

pub(super) fn run(lab: &Lab, run: &mut Run, scenario: &'static str) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    ensure!(cores >= 2, "this machine has one core");
    let work = Work::get("/", "Hello");
    let component = lab.guest("hello-rust")?;
    let mut one = lab.midge_run("one worker", &component, &["--workers", "1"])?;
    let mut two = lab.midge_run("two workers", &component, &["--workers", "2"])?;
    one.wait_for(&work)?;
    two.wait_for(&work)?;
    pin(one.pid(), 0)?;
    let workers: Vec<u32> = proc::tree(two.pid()).split_off(1);
    ensure!(
        workers.len() == 2,
        "midge has {} processes in place of 2 workers",
        workers.len()
    );
    for (core, worker) in workers.into_iter().enumerate() {
        pin(worker, core)?;
    }

    let load = lab.load();
    let alone = measure(lab, &one, &work, &load).context("measure one worker")?;
    measure(lab, &two, &work, &load).context("warm two workers")?;
    let rate = BUSY * 1e6 / alone.cpu_us;
    let time = load.time * 2;
    for round in 1..=load.rounds {
        for (server, workers) in [(&one, 1), (&two, 2)] {
            let (cpu_us, p99_ms) = at_fixed_times(server, workers, rate, time)?;
            lab.say(&format!(
                "{scenario} {round}/{} {}: {cpu_us:.1} µs CPU, p99 {p99_ms:.2} ms",
                load.rounds, server.subject
            ));
            run.add(scenario, &server.subject, Measure::CpuMicros, cpu_us);
            run.add(scenario, &server.subject, Measure::P99Millis, p99_ms);
        }
    }
    Ok(())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a handful of workers, and answers of seconds"
)]
fn at_fixed_times(
    server: &Server,
    workers: usize,
    rate: f64,
    time: Duration,
) -> Result<(f64, f64)> {
    let before = server.cpu()?;
    let loaded = client::run(&client::Spec {
        connections: CONNECTIONS * workers,
        rate: Some(rate * workers as f64),
        ..client::Spec::get(server.port, "/", "Hello", time)
    })?;
    let spent = server.cpu()?.saturating_sub(before);
    Ok((
        spent.as_secs_f64() * 1e6 / loaded.answered as f64,
        loaded.p99_ms,
    ))
}

/// Holds all threads of a process on one core.
fn pin(pid: u32, core: usize) -> Result<()> {
    let output = Command::new("taskset")
        .args(["--all-tasks", "--cpu-list", "--pid"])
        .arg(core.to_string())
        .arg(pid.to_string())
        .output()
        .context("start taskset")?;
    let why = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "taskset: {}", why.trim());
    Ok(())
}
