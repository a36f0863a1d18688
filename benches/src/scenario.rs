//! The scenarios: what is measured, each in a file of its own.
//!
//! A scenario starts its servers, measures them in turns and adds what it saw to the run; what
//! cannot be measured is noted as a gap. Whether a figure is good is for `targets.rs`.

mod bodies;
mod compute;
mod connections;
mod density;
mod hello;
mod hog;
mod outbound;
mod pinned;
mod routes;

use anyhow::Result;

use crate::lab::Lab;
use crate::record::Run;

/// One scenario.
pub struct Scenario {
    /// As `--only` names it.
    pub name: &'static str,
    /// What it measures, for a person.
    pub about: &'static str,
    /// Measures it. An error is one that leaves nothing to measure.
    pub run: fn(&Lab, &mut Run, &'static str) -> Result<()>,
}

/// All of them, in the order in which they run.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "hello-rust",
        about: "a greeting in Rust, a fresh instance per request",
        run: hello::rust,
    },
    Scenario {
        name: "hello-go",
        about: "a greeting in Go, a fresh instance per request",
        run: hello::go,
    },
    Scenario {
        name: "hello-js",
        about: "a greeting in JavaScript, a fresh instance per request",
        run: hello::js,
    },
    Scenario {
        name: "hello-py",
        about: "a greeting in Python, a fresh instance per request",
        run: hello::py,
    },
    Scenario {
        name: "serial-js",
        about: "a greeting in JavaScript, instances reused, beside workerd",
        run: hello::serial_js,
    },
    Scenario {
        name: "echo",
        about: "64 kB back and forth",
        run: bodies::echo,
    },
    Scenario {
        name: "json",
        about: "JSON that is read, changed and written",
        run: bodies::json,
    },
    Scenario {
        name: "compute",
        about: "three kernels that compute for about 20 ms",
        run: compute::run,
    },
    Scenario {
        name: "outbound",
        about: "one outbound fetch in each request",
        run: outbound::fetch,
    },
    Scenario {
        name: "churn",
        about: "a new connection for each request",
        run: connections::churn,
    },
    Scenario {
        name: "http2",
        about: "HTTP/2, many requests on few connections",
        run: connections::http2,
    },
    Scenario {
        name: "routes",
        about: "one path alone and among 10,000 functions",
        run: routes::run,
    },
    Scenario {
        name: "pinned",
        about: "one pinned worker and two, under a load that fits",
        run: pinned::run,
    },
    Scenario {
        name: "hog",
        about: "a small function while another keeps every core busy",
        run: hog::run,
    },
    Scenario {
        name: "waiting",
        about: "1,000 instances that wait for an upstream",
        run: outbound::waiting,
    },
    Scenario {
        name: "density",
        about: "10,000 functions: first requests and idle memory",
        run: density::rust,
    },
    Scenario {
        name: "cold-js",
        about: "first requests of a 13 MB JavaScript component",
        run: density::js,
    },
    Scenario {
        name: "cold-py",
        about: "first requests of an 18 MB Python component",
        run: density::py,
    },
];
