//! Log lines on stderr: ours, and the guests'.
//!
//! Ours are compact text, or JSON objects with `--json`. What a guest writes
//! arrives as events with the target `guest` and is printed as
//! `[function] line`, so that it cannot be taken for ours. Which events exist
//! is decided where they happen.
//!
//! **Invariant:** one event is one write, so lines of several workers that share
//! one stderr do not mix; and writing never waits: a terminal that is paused, or a
//! pipe that nobody reads, costs lines (they are counted) and not requests.

mod relay;

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use midge_sandbox::GUEST_LOG_TARGET;
use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, filter_fn};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

pub(crate) use self::relay::Relay;
use self::relay::RelayLayer;
use crate::say;

/// Lines that may wait for a slow reader of stderr; further ones are dropped.
const LINES_WAITING_MAX: usize = 8 * 1024;

/// What is logged, and how; the same in every process of a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LogConfig {
    /// Levels by target, checked by `config.rs`.
    pub(crate) filter: String,
    /// Text or JSON.
    pub(crate) format: Format,
    /// Whether lines that are not warnings are left out, those that are no log lines too.
    pub(crate) quiet: bool,
    /// Whether stderr takes colours.
    pub(crate) colour: bool,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For machines, one object a line.
    Json,
}

/// Sends events of this process to stderr from now on, until what it returns is dropped; lines of
/// guests to `relay`, too.
#[must_use = "dropping it ends the log"]
pub(crate) fn start(config: &LogConfig, relay: Option<Arc<Relay>>) -> Log {
    // `config.rs` has parsed the same text; a worker of another build might still disagree.
    let filter = || EnvFilter::try_new(&config.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES_WAITING_MAX)
        .thread_name("midge-log")
        .finish(std::io::stderr());
    let dropped = writer.error_counter();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer.clone())
        // A stderr that nobody reads any more must not turn each line into a panic.
        .log_internal_errors(false);
    let is_guests = |event: &tracing::Metadata<'_>| event.target() == GUEST_LOG_TARGET;
    // What is shown on stderr is one choice, what people who may see a function's lines get is not.
    let relayed = relay.map(|relay| RelayLayer(relay).with_filter(filter_fn(is_guests)));
    let registry = tracing_subscriber::registry().with(relayed);
    match config.format {
        Format::Json => {
            let all = lines.json().flatten_event(true).with_current_span(false);
            registry.with(all.with_filter(filter())).init();
        }
        Format::Text => {
            let ours = lines.compact().with_ansi(config.colour);
            let ours = ours.with_filter(filter().and(filter_fn(move |event| !is_guests(event))));
            let guests = GuestLines { writer };
            registry
                .with(ours)
                .with(guests.with_filter(filter()))
                .init();
        }
    }
    Log {
        guard: Some(guard),
        dropped,
    }
}

/// The running log. Dropping it writes what still waits, for a second at most.
pub(crate) struct Log {
    guard: Option<WorkerGuard>,
    dropped: ErrorCounter,
}

impl Drop for Log {
    fn drop(&mut self) {
        drop(self.guard.take());
        let dropped = self.dropped.dropped_lines();
        if dropped > 0 {
            say::line(&format!(
                "{dropped} log lines were dropped, because stderr was not read fast enough"
            ));
        }
    }
}

/// Prints what guests write.
struct GuestLines {
    writer: NonBlocking,
}

impl<S: Subscriber> Layer<S> for GuestLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == GUEST_LOG_TARGET {
            let mut line = GuestLine::default();
            event.record(&mut line);
            let text = format!("{}\n", say::clean_line(&line.to_string()));
            // It never fails: what does not fit is counted.
            drop(self.writer.clone().write_all(text.as_bytes()));
        }
    }
}

/// The fields of a guest's event that a person wants to see.
#[derive(Default)]
struct GuestLine {
    function: String,
    line: String,
}

impl fmt::Display for GuestLine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "[{}] {}", self.function, self.line)
    }
}

impl Visit for GuestLine {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "function" => value.clone_into(&mut self.function),
            "line" => value.clone_into(&mut self.line),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guests_line_names_its_function_and_nothing_else() {
        let line = GuestLine {
            function: "resize".to_owned(),
            line: "half done".to_owned(),
        };
        assert_eq!(line.to_string(), "[resize] half done");
    }
}
