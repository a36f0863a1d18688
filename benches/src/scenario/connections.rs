//! What connections cost: a new one for each request, and many requests on one (HTTP/2).

use anyhow::Result;

use crate::contest::{Entrant, Generator, contest};
use crate::lab::Lab;
use crate::record::Run;
use crate::work::Work;

/// Connections of the HTTP/2 load, and requests at a time on each: 32 in all.
const CONNECTIONS: usize = 4;
const STREAMS: usize = 8;

pub(super) fn churn(lab: &Lab, run: &mut Run, scenario: &'static str) -> Result<()> {
    let component = lab.guest("hello-rust")?;
    let work = || Work::get("/", "Hello").closing();
    let entrants = vec![
        Entrant::new("hyper", lab.floor(&[]), work()),
        Entrant::new("midge", lab.midge_run("midge", &component, &[]), work()),
        Entrant::new("wasmtime serve", lab.wasmtime(&component, &[]), work()),
    ];
    contest(lab, run, scenario, entrants, &lab.load());
    Ok(())
}

pub(super) fn http2(lab: &Lab, run: &mut Run, scenario: &'static str) -> Result<()> {
    let component = lab.guest("hello-rust")?;
    let work = || Work::get("/", "Hello");
    let entrants = vec![
        Entrant::new("hyper", lab.floor(&["--http2"]), work()),
        Entrant::new("midge", lab.midge_run("midge", &component, &[]), work()),
    ];
    // `wasmtime serve` speaks HTTP/1.1 only.
    let load = lab.load().over(CONNECTIONS).by(Generator::Http2(STREAMS));
    contest(lab, run, scenario, entrants, &load);
    Ok(())
}
