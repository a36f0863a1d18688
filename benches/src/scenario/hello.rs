//! A greeting in four languages: what a sandbox of its own costs each request.
//!
//! The same component runs in midge, in `wasmtime serve`, in Spin and in a plain embedding of the
//! engine; the bare server answers the same text without a sandbox.

use anyhow::Result;

use crate::contest::{Entrant, contest};
use crate::lab::Lab;
use crate::record::Run;
use crate::work::Work;

/// What every greeting has in it.
const GREETING: &str = "Hello";

pub(super) fn rust(lab: &Lab, run: &mut Run, scenario: &'static str) -> Result<()> {
    fresh(lab, run, scenario, "hello-rust")
}

pub(super) fn go(lab: &Lab, run: &mut Run, scenario: &'static str) -> Result<()> {
    fresh(lab, run, scenario, "hello-go")
}

pub(super) fn js(lab: &Lab, run: &mut Run, scenario: &'static str) -> Result<()> {
    fresh(lab, run, scenario, "hello-js")
}

pub(super) fn py(lab: &Lab, run: &mut Run, scenario: &'static str) -> Result<()> {
    fresh(lab, run, scenario, "hello-py")
}

fn fresh(lab: &Lab, run: &mut Run, scenario: &str, name: &str) -> Result<()> {
    let component = lab.guest(name)?;
    let work = || Work::get("/", GREETING);
    let mut entrants = vec![
        Entrant::new("hyper", lab.floor(&[]), work()),
        Entrant::new("midge", lab.midge_run("midge", &component, &[]), work()),
        Entrant::new("wasmtime serve", lab.wasmtime(&component, &[]), work()),
        Entrant::new("spin", lab.spin(&component), work()),
    ];
    // It has no cache and compiles for long; where no target needs it, a quick run has no time.
    if !lab.quick || ["hello-rust", "hello-py"].contains(&name) {
        entrants.push(Entrant::new(
            "plain",
            lab.plain("plain", &component),
            work(),
        ));
    }
    contest(lab, run, scenario, entrants, &lab.load());
    Ok(())
}

/// One long-lived isolate of workerd beside instances of midge that are asked again.
pub(super) fn serial_js(lab: &Lab, run: &mut Run, scenario: &'static str) -> Result<()> {
    let component = lab.guest("hello-js-serial")?;
    let config = lab.root.join("benches/guests/workerd/config.capnp");
    let work = || Work::get("/", GREETING);
    let serial = lab.midge_run("midge serial", &component, &["--isolation", "serial"]);
    let entrants = vec![
        Entrant::new("midge serial", serial, work()),
        Entrant::new("workerd", lab.workerd(&config), work()),
    ];
    contest(lab, run, scenario, entrants, &lab.load());
    Ok(())
}
