//! Requests with bodies: 64 kB back and forth, and JSON that is read, changed and written.

use anyhow::Result;
use bytes::Bytes;

use crate::contest::{Entrant, contest};
use crate::lab::Lab;
use crate::record::Run;
use crate::work::{Expect, Work};

const ECHO_BYTES: usize = 64 * 1000;

pub(super) fn echo(lab: &Lab, run: &mut Run, scenario: &'static str) -> Result<()> {
    let component = lab.guest("echo-rust")?;
    // Not all the same, so that what is lost or doubled shows.
    let body: Bytes = (0..ECHO_BYTES)
        .map(|at| b"0123456789abcdef\n"[at % 17])
        .collect();
    let work = || Work::post(body.clone(), "text/plain", Expect::Exactly(body.clone()));
    let entrants = vec![
        Entrant::new("hyper", lab.floor(&[]), work()),
        Entrant::new("midge", lab.midge_run("midge", &component, &[]), work()),
        Entrant::new("wasmtime serve", lab.wasmtime(&component, &[]), work()),
        Entrant::new("plain", lab.plain("plain", &component), work()),
    ];
    contest(lab, run, scenario, entrants, &lab.load());
    Ok(())
}

pub(super) fn json(lab: &Lab, run: &mut Run, scenario: &'static str) -> Result<()> {
    let component = lab.guest("json-rust")?;
    let (body, expected) = order();
    let work = || {
        let expect = Expect::Contains(expected.clone());
        Work::post(body.clone(), "application/json", expect)
    };
    let entrants = vec![
        Entrant::new("midge", lab.midge_run("midge", &component, &[]), work()),
        Entrant::new("wasmtime serve", lab.wasmtime(&component, &[]), work()),
        Entrant::new("plain", lab.plain("plain", &component), work()),
    ];
    contest(lab, run, scenario, entrants, &lab.load());
    Ok(())
}

/// A list of orders, and what the answer has in it: the guest adds up each order and all of them.
fn order() -> (Bytes, String) {
    const ORDERS: u64 = 20;
    const LINES: u64 = 5;
    let line = |order: u64, line: u64| {
        serde_json::json!({
            "sku": format!("sku-{order}-{line}"),
            "quantity": line + 1,
            "cents": 100 * order + line,
        })
    };
    let orders: Vec<_> = (0..ORDERS)
        .map(|order| {
            let lines: Vec<_> = (0..LINES).map(|at| line(order, at)).collect();
            serde_json::json!({ "id": order, "lines": lines })
        })
        .collect();
    let total: u64 = (0..ORDERS)
        .flat_map(|order| (0..LINES).map(move |line| (line + 1) * (100 * order + line)))
        .sum();
    let text = serde_json::json!({ "orders": orders }).to_string();
    (Bytes::from(text), format!("\"total_cents\":{total}"))
}
