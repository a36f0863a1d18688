//! Guests that ask somebody else: what an outbound request costs, and what it costs to wait for one.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use tokio::time::Instant;

use crate::contest::{Entrant, contest};
use crate::lab::{Lab, quoted};
use crate::load::client::{self, Spec};
use crate::record::{Measure, Run};
use crate::server::Server;
use crate::upstream::{ANSWER, Upstream};
use crate::work::Work;

/// Instances that wait at the same time.
const WAITING: usize = 1_000;
/// Spread over so many functions: one alone may not have all of a worker, nor all its connections.
const FUNCTIONS: usize = 20;
/// A function keeps at most 32 connections in a worker; the requests beyond wait for one of them.
const CONNECTIONS_SURE: usize = 20;
/// Until all of them wait.
const WAITING_MAX: Duration = Duration::from_secs(60);
/// Who asks in this time asks once: nobody is answered so soon.
const ONE_EACH: Duration = Duration::from_millis(700);

/// One fetch of a small text from a bare server, which is not counted.
pub(super) fn fetch(lab: &Lab, run: &mut Run, scenario: &'static str) -> Result<()> {
    let component = lab.guest("outbound-rust")?;
    let mut upstream = lab.floor(&["--workers", "1"])?;
    upstream.wait_for(&Work::get("/", "Hello"))?;
    let address = format!("http://127.0.0.1:{}", upstream.port);
    let told = format!("UPSTREAM={address}/");
    let work = || Work::get("/", "Hello");
    let midge = lab.midge_run(
        "midge",
        &component,
        &["--allow-http", &address, "--env", &told],
    );
    let entrants = vec![
        Entrant::new("midge", midge, work()),
        Entrant::new(
            "wasmtime serve",
            lab.wasmtime(&component, &["--env", &told]),
            work(),
        ),
    ];
    contest(lab, run, scenario, entrants, &lab.load());
    Ok(())
}

/// A thousand instances that wait for an upstream that does not answer.
pub(super) fn waiting(lab: &Lab, run: &mut Run, scenario: &'static str) -> Result<()> {
    let rounds = if lab.quick { 1 } else { 3 };
    for round in 1..=rounds {
        let each_kib = wait_together(lab)?;
        lab.say(&format!(
            "{scenario} {round}/{rounds}: {each_kib:.1} KiB each"
        ));
        run.add(scenario, "midge", Measure::EachKib, each_kib);
    }
    Ok(())
}

fn wait_together(lab: &Lab) -> Result<f64> {
    let upstream = Upstream::start()?;
    let address = format!("http://127.0.0.1:{}", upstream.port);
    let component = quoted(&lab.guest("outbound-rust")?);
    let function = |number: usize| {
        format!(
            "[function.f{number}]\ncomponent = {component}\n\
             limits = {{ time = \"10m\", queue-time = \"10m\", concurrency = {WAITING} }}\n\
             env = {{ UPSTREAM = \"{address}/\" }}\nallow = {{ http = [\"{address}\"] }}\n\n"
        )
    };
    let text: String = (0..FUNCTIONS).map(function).collect();
    let manifest = lab.manifest("waiting", &text)?;
    let mut server = lab.midge_run("midge", &manifest, &["--allow-private", "127.0.0.1"])?;
    let paths: Vec<String> = (0..FUNCTIONS)
        .map(|number| format!("/f{number}/"))
        .collect();
    let port = server.port;
    let clients = |connections| {
        let spec = Spec {
            connections,
            paths: paths.clone(),
            ..Spec::get(port, "/", ANSWER, ONE_EACH)
        };
        std::thread::spawn(move || client::run(&spec))
    };
    server.wait_for_port()?;
    // Everything is loaded, mapped and connected once before the memory is looked at.
    let few = clients(FUNCTIONS);
    all_wait(&server, &upstream, FUNCTIONS.min(CONNECTIONS_SURE))?;
    let before = server.memory()?.pss;
    let many = clients(WAITING - FUNCTIONS);
    all_wait(&server, &upstream, CONNECTIONS_SURE)?;
    let grown = server.memory()?.pss.saturating_sub(before);
    upstream.release();
    for (clients, count) in [(few, FUNCTIONS), (many, WAITING - FUNCTIONS)] {
        let loaded = clients
            .join()
            .map_err(|_| anyhow!("the client panicked"))??;
        ensure!(
            loaded.answered == count as u64,
            "{} of {count} were answered",
            loaded.answered
        );
    }
    Ok(each_kib(grown, WAITING - FUNCTIONS))
}

/// Waits until so many requests are at the upstream and the server has nothing more to do: what it
/// was asked waits then.
fn all_wait(server: &Server, upstream: &Upstream, held: usize) -> Result<()> {
    const WINDOW: Duration = Duration::from_millis(250);
    const QUIET_WINDOWS: usize = 3;
    let end = Instant::now() + WAITING_MAX;
    let mut quiet = 0;
    while quiet < QUIET_WINDOWS {
        ensure!(
            Instant::now() < end,
            "{} requests are at the upstream after {WAITING_MAX:?}: {}",
            upstream.held(),
            server.said()
        );
        let before = server.cpu()?;
        sleep(WINDOW);
        let spent = server.cpu()?.saturating_sub(before);
        let idle = spent < WINDOW / 10 && upstream.held() >= held;
        quiet = if idle { quiet + 1 } else { 0 };
    }
    Ok(())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "bytes of a machine and a thousand instances"
)]
fn each_kib(bytes: u64, instances: usize) -> f64 {
    bytes as f64 / 1024.0 / instances as f64
}
