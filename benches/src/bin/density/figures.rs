//! What was measured, as a table or as JSON, and whether it is what was promised.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

/// Components from this size on are languages that bring an interpreter along.
const JS_BYTES: usize = 8 << 20;
const PYTHON_BYTES: usize = 16 << 20;

/// From so many functions on, what a store holds whatever is in it (caches of its database) does
/// not count for each of them any more.
const MANY: usize = 5_000;

/// What a run came to. Times are what a client on the same machine saw.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    pub(crate) component: String,
    pub(crate) component_bytes: usize,
    pub(crate) functions: usize,
    pub(crate) requests: usize,
    pub(crate) zipf: f64,
    pub(crate) seed: u64,
    pub(crate) memory_target: Option<String>,
    pub(crate) first_asked: usize,
    pub(crate) first_p50_us: u64,
    pub(crate) first_p99_us: u64,
    /// Of draws of a function that was asked before, whether it is still loaded or not.
    pub(crate) again_p50_us: u64,
    pub(crate) again_p99_us: u64,
    pub(crate) steady_p99_us: u64,
    /// Anonymous memory of all processes for each function that is not loaded.
    pub(crate) rss_per_idle_function_bytes: u64,
    pub(crate) pss_per_idle_function_bytes: u64,
    /// Anonymous memory for each function that is loaded and not running.
    pub(crate) bytes_per_loaded_function: u64,
    pub(crate) anonymous_bytes_at_end: u64,
    pub(crate) mappings_max: usize,
    pub(crate) loaded: u64,
    pub(crate) evicted: u64,
}

/// What was promised, in the unit of the figure.
struct Target {
    name: &'static str,
    is: u64,
    below: Option<u64>,
    unit: &'static str,
}

impl Figures {
    /// Prints it, and says whether all targets were met.
    #[expect(clippy::print_stdout, reason = "the result of this program")]
    pub(crate) fn tell(&self, json: bool, out: Option<&Path>) -> Result<bool> {
        let text = serde_json::to_string_pretty(self).context("write the figures")?;
        if let Some(path) = out {
            std::fs::write(path, &text).with_context(|| format!("write {}", path.display()))?;
        }
        let targets = self.targets();
        let met = targets.iter().all(Target::is_met);
        if json {
            println!("{text}");
            return Ok(met);
        }
        for target in &targets {
            println!("{}", target.line());
        }
        Ok(met)
    }

    fn targets(&self) -> Vec<Target> {
        let (p50, p99) = match self.component_bytes {
            bytes if bytes >= PYTHON_BYTES => (8_000, None),
            bytes if bytes >= JS_BYTES => (3_000, None),
            _ => (1_000, Some(2_000)),
        };
        let row = |name, is, below, unit| Target {
            name,
            is,
            below,
            unit,
        };
        vec![
            row("first request p50", self.first_p50_us, Some(p50), "µs"),
            row("first request p99", self.first_p99_us, p99, "µs"),
            row("asked again p50", self.again_p50_us, None, "µs"),
            row("asked again p99", self.again_p99_us, None, "µs"),
            row("drawn, later half p99", self.steady_p99_us, None, "µs"),
            row(
                "memory of an idle function",
                self.rss_per_idle_function_bytes,
                (self.functions >= MANY).then_some(8 << 10),
                "bytes",
            ),
            row(
                "the same as PSS",
                self.pss_per_idle_function_bytes,
                None,
                "bytes",
            ),
            row(
                "memory of a loaded one",
                self.bytes_per_loaded_function,
                None,
                "bytes",
            ),
            row(
                "private memory at the end",
                self.anonymous_bytes_at_end,
                None,
                "bytes",
            ),
            row(
                "mappings of a process",
                self.mappings_max as u64,
                Some(65_530),
                "",
            ),
            row("loaded revisions", self.loaded, None, ""),
            row("evicted revisions", self.evicted, None, ""),
        ]
    }
}

impl Target {
    fn is_met(&self) -> bool {
        self.below.is_none_or(|below| self.is < below)
    }

    fn line(&self) -> String {
        let Self {
            name,
            is,
            below,
            unit,
        } = self;
        let is = format!("{is} {unit}");
        let verdict = match below {
            Some(below) if self.is_met() => format!("ok, below {below}"),
            Some(below) => format!("MISSED, not below {below}"),
            None => String::new(),
        };
        format!("{name:<28}{is:>18}  {verdict}")
            .trim_end()
            .to_owned()
    }
}
