//! A guest's HTTP requests, over real sockets: which are granted, where they lead, how
//! long they take and how much they move.

mod bounds;
mod faults;
mod framing;
mod grants;
mod pool;
mod secrets;
mod ssrf;
mod tls;
mod told;

use midge_testkit::Upstream;

use crate::kit::Guest;

/// A guest of each version that has requests to send.
const PROBES: [&str; 2] = ["http02-probe.wasm", "http03-probe.wasm"];

/// A probe with these grants, under the policy of `midge run`.
fn granted(probe: &str, grants: &[&str]) -> Guest {
    Guest::of(probe).grants(|own| {
        own.http = grants.iter().map(|grant| grant.parse().unwrap()).collect();
    })
}

/// What comes of these steps, a line each.
fn ask(guest: Guest, steps: &str) -> String {
    guest.get(&path(steps)).unwrap().text()
}

/// The path that makes a probe take these steps.
fn path(steps: &str) -> String {
    let mut path = "/?".to_owned();
    for byte in steps.bytes() {
        match byte {
            b'&' | b'=' | b'+' | b'-' => path.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => path.push(byte.into()),
            _ => path.push_str(&format!("%{byte:02x}")),
        }
    }
    path
}

/// `http://127.0.0.1:PORT`, which the policy of `midge run` lets a grant name.
fn here(upstream: &Upstream) -> String {
    format!("http://127.0.0.1:{}", upstream.port())
}
