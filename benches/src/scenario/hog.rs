//! Tenants beside each other: a small function while another one keeps every core busy.
//!
//! The small one is asked at fixed times by a client that goes before the servers: it stands for
//! machines elsewhere, which do not wait for a core of this one. A late answer counts from when it
//! should have been asked. The hog is asked over 200 connections to compute until its limit ends
//! it, again and again.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

use crate::lab::{Lab, quoted};
use crate::load::client::{self, Background, Spec};
use crate::proc;
use crate::record::{Measure, Run};
use crate::server::Server;
use crate::work::Work;

const HOGS: usize = 200;
/// Requests of the small function each second.
const RATE: f64 = 100.0;
/// The target: so many times its p99 alone, and so much.
const TIMES: f64 = 3.0;
const PLUS_MS: f64 = 5.0;
/// Until all cores are busy, or idle again.
const STATE_MAX: Duration = Duration::from_secs(30);

pub(super) fn run(lab: &Lab, run: &mut Run, scenario: &'static str) -> Result<()> {
    let hello = quoted(&lab.guest("hello-rust")?);
    let busy = quoted(&lab.root.join("guests/fixtures/prebuilt/http02-busy.wasm"));
    let manifest = lab.manifest(
        scenario,
        &format!(
            "[function.hello]\ncomponent = {hello}\n\n[function.hog]\ncomponent = {busy}\n\
             limits = {{ cpu = \"1s\", time = \"10m\", queue-time = \"10m\", concurrency = 400 }}\n"
        ),
    )?;
    let mut server = lab.midge_run("midge", &manifest, &[])?;
    server.wait_for(&Work::get("/hello/", "Hello"))?;
    let (rounds, time) = if lab.quick { (2, 5) } else { (5, 15) };
    let time = Duration::from_secs(time);
    for round in 1..=rounds {
        let alone = asked(&server, time)?;
        let hogs = Background::start(&Spec {
            connections: HOGS,
            any_status: true,
            ..Spec::get(server.port, "/hog/", "", STATE_MAX + time * 10)
        })?;
        until(&server, |now| now.idle < 0.05 && now.server > 0.3)?;
        let beside = asked(&server, time)?;
        drop(hogs);
        until(&server, |now| now.server < 0.05)?;
        let allowed = TIMES * alone + PLUS_MS;
        lab.say(&format!(
            "{scenario} {round}/{rounds}: p99 {alone:.2} ms alone, {beside:.2} ms beside a hog"
        ));
        run.add(scenario, "alone", Measure::P99Millis, alone);
        run.add(scenario, "beside", Measure::P99Millis, beside);
        run.add(scenario, "allowed", Measure::P99Millis, allowed);
    }
    Ok(())
}

/// The small function's p99, in milliseconds.
fn asked(server: &Server, time: Duration) -> Result<f64> {
    let loaded = client::run(&Spec {
        connections: 8,
        rate: Some(RATE),
        ahead: true,
        ..Spec::get(server.port, "/hello/", "Hello", time)
    })?;
    Ok(loaded.p99_ms)
}

/// Shares of all cores.
struct Busy {
    /// Taken by the server.
    server: f64,
    /// Taken by nobody. Others on the machine may keep it busy, too.
    idle: f64,
}

/// Waits until the machine is in this state.
#[expect(clippy::cast_precision_loss, reason = "cores of a machine")]
fn until(server: &Server, reached: impl Fn(Busy) -> bool) -> Result<()> {
    const WINDOW: Duration = Duration::from_millis(300);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64;
    let end = Instant::now() + STATE_MAX;
    while Instant::now() < end {
        let (before, idle_before) = (server.cpu()?, proc::idle()?);
        sleep(WINDOW);
        let spent = server.cpu()?.saturating_sub(before);
        let idle = proc::idle()?.saturating_sub(idle_before);
        let all = WINDOW.as_secs_f64() * cores;
        if reached(Busy {
            server: spent.as_secs_f64() / all,
            idle: idle.as_secs_f64() / all,
        }) {
            return Ok(());
        }
    }
    bail!("the hog did not start or end within {STATE_MAX:?}")
}
