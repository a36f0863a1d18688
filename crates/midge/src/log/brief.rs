//! The line that a request leaves in `midge dev`: for who wrote the function, who reads all of them.
//!
//! It says what was asked and answered and what that cost, and nothing of what only a node's operator
//! looks for. Programs get the line that all others get (`served.rs`).

use std::fmt::{self, Write as _};

use anstyle::{AnsiColor, Style};
use midge_model::quantity::format_bytes;
use tracing::field::{Field, Visit};

use super::whose;
use crate::say;

const GOOD: Style = AnsiColor::Green.on_default();
const REFUSED: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default();

/// What an access event says of a request.
#[derive(Debug, Default)]
pub(super) struct BriefLine {
    function: String,
    method: String,
    path: String,
    status: u64,
    duration_ms: f64,
    cpu_ms: Option<f64>,
    memory_peak_bytes: Option<u64>,
    outcome: String,
    reason: Option<String>,
}

impl BriefLine {
    /// `[hello] GET /x 200 in 3.1 ms, cpu 0.4 ms, memory 1.4MiB`; how it ended where that was not well.
    pub(super) fn to_text(&self, colour: bool) -> String {
        let mut text = match self.function.as_str() {
            "" => String::new(),
            function => whose(function, colour) + " ",
        };
        let style = match (colour, self.status) {
            (false, _) => Style::new(),
            (true, ..400) => GOOD,
            (true, 400..500) => REFUSED,
            (true, _) => BAD,
        };
        let (method, path) = (say::clean_line(&self.method), say::clean_line(&self.path));
        let (status, duration_ms) = (self.status, self.duration_ms);
        let put = write!(
            text,
            "{method} {path} {style}{status}{style:#} in {duration_ms:.1} ms"
        );
        put.expect("a String takes all writes");
        if let Some(cpu_ms) = self.cpu_ms {
            text.push_str(&format!(", cpu {cpu_ms:.1} ms"));
        }
        if let Some(bytes) = self.memory_peak_bytes {
            text.push_str(&format!(", memory {}", format_bytes(bytes)));
        }
        if self.outcome != "responded" {
            text.push_str(&format!(", {}", self.outcome));
            // An engine's reason has a line for each frame; the first says what it was.
            let reason = self
                .reason
                .as_ref()
                .and_then(|reason| reason.lines().next());
            if let Some(reason) = reason {
                text.push_str(&format!(": {}", say::clean_line(reason)));
            }
        }
        text.push('\n');
        text
    }
}

impl Visit for BriefLine {
    fn record_f64(&mut self, field: &Field, value: f64) {
        match field.name() {
            "duration_ms" => self.duration_ms = value,
            "cpu_ms" => self.cpu_ms = Some(value),
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "status" => self.status = value,
            "memory_peak_bytes" => self.memory_peak_bytes = Some(value),
            _ => {}
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "function" => value.clone_into(&mut self.function),
            "method" => value.clone_into(&mut self.method),
            "path" => value.clone_into(&mut self.path),
            "outcome" => value.clone_into(&mut self.outcome),
            "reason" => self.reason = Some(value.to_owned()),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn a_request_is_told_with_what_it_cost_or_how_it_ended() {
        let well = BriefLine {
            function: "hello".to_owned(),
            method: "GET".to_owned(),
            path: "/x".to_owned(),
            status: 200,
            duration_ms: 3.12,
            cpu_ms: Some(0.42),
            memory_peak_bytes: Some(1_441_792),
            outcome: "responded".to_owned(),
            reason: None,
        };
        assert_snapshot!(well.to_text(false), @"[hello] GET /x 200 in 3.1 ms, cpu 0.4 ms, memory 1.4MiB");
        assert!(well.to_text(true).contains("\x1b[32m200\x1b[0m in"));
        let ill = BriefLine {
            status: 502,
            cpu_ms: None,
            memory_peak_bytes: None,
            outcome: "trapped".to_owned(),
            reason: Some("unreachable\x1b[2J\n  at main".to_owned()),
            ..well
        };
        assert_snapshot!(ill.to_text(false), @"[hello] GET /x 502 in 3.1 ms, trapped: unreachable�[2J");
        let nobody = BriefLine {
            function: String::new(),
            status: 404,
            outcome: "no-route".to_owned(),
            reason: None,
            ..ill
        };
        assert_snapshot!(nobody.to_text(false), @"GET /x 404 in 3.1 ms, no-route");
    }
}
