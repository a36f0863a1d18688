//! Log lines on stderr: ours, and the guests'.
//!
//! Ours are compact text, or JSON objects with `--json`. What a guest writes
//! arrives as events with the target `guest` and is printed as
//! `[function] line`, so that it cannot be taken for ours. Which events exist
//! is decided where they happen; when lines are written, in `gather.rs`.
//!
//! **Invariant:** lines of several workers that share one stderr do not mix; and writing never
//! waits: a terminal that is paused, or a pipe that nobody reads, costs lines (they are counted)
//! and not requests.

mod brief;
mod gather;
mod relay;
mod served;

use std::fmt;
use std::sync::Arc;

use anstyle::AnsiColor;
use midge_sandbox::GUEST_LOG_TARGET;
use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::{Dispatch, Event, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, FilterFn, LevelFilter};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use self::gather::{Lines, Writing};
pub(crate) use self::relay::Relay;
use self::relay::RelayLayer;
use self::served::{ServedLines, is_served};
use crate::say;

/// The level of what guests write.
const GUEST_LINES: LevelFilter = LevelFilter::INFO;

/// Colours of functions: those that can be read on light and on dark, and are not our levels'.
const COLOURS: [AnsiColor; 5] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::BrightCyan,
    AnsiColor::BrightMagenta,
];

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
    /// Whether text says of a request what its author wants to know, with what it cost.
    pub(crate) brief: bool,
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
    let (lines, writing) = gather::start(std::io::stderr());
    subscriber(config, lines, relay).init();
    Log { writing }
}

/// What makes lines of events.
fn subscriber(config: &LogConfig, lines: Lines, relay: Option<Arc<Relay>>) -> Dispatch {
    // `config.rs` has parsed the same text; a worker of another build might still disagree.
    let filter = || EnvFilter::try_new(&config.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let general = tracing_subscriber::fmt::layer()
        .with_writer(lines.clone())
        // A stderr that nobody reads any more must not turn each line into a panic.
        .log_internal_errors(false);
    // What is shown on stderr is one choice, what people who may see a function's lines get is not.
    let relayed = relay.map(|relay| RelayLayer(relay).with_filter(up_to(GUEST_LINES, is_guests)));
    let served = ServedLines {
        lines: lines.clone(),
        format: config.format,
        colour: config.colour,
        brief: config.brief,
    };
    // Whose line it is, is asked first: one that is not is out of question at once.
    let served = served.with_filter(up_to(LevelFilter::INFO, is_served).and(filter()));
    let registry = tracing_subscriber::registry().with(relayed).with(served);
    match config.format {
        Format::Json => {
            let all = general.json().flatten_event(true).with_current_span(false);
            let all = all.with_filter(up_to(LevelFilter::TRACE, is_not_served).and(filter()));
            registry.with(all).into()
        }
        Format::Text => {
            let ours = general.compact().with_ansi(config.colour);
            let ours = ours.with_filter(up_to(LevelFilter::TRACE, is_ours).and(filter()));
            let colour = config.colour;
            let guests = GuestLines { lines, colour };
            let guests = guests.with_filter(up_to(GUEST_LINES, is_guests).and(filter()));
            registry.with(ours).with(guests).into()
        }
    }
}

fn is_guests(event: &Metadata<'_>) -> bool {
    event.target() == GUEST_LOG_TARGET
}

fn is_not_served(event: &Metadata<'_>) -> bool {
    !is_served(event)
}

fn is_ours(event: &Metadata<'_>) -> bool {
    !is_guests(event) && is_not_served(event)
}

/// A filter that says how far it reaches. With one that does not, no level is out of question for
/// any filter, and the spans that the engine makes around each host call are made for nobody: a
/// twelfth of all that a small function costs.
fn up_to(level: LevelFilter, filter: fn(&Metadata<'_>) -> bool) -> FilterFn {
    FilterFn::new(filter).with_max_level_hint(level)
}

/// The running log. Dropping it writes what still waits, for a second at most.
pub(crate) struct Log {
    writing: Writing,
}

impl Drop for Log {
    fn drop(&mut self) {
        let lost = self.writing.end();
        if lost > 0 {
            say::line(&format!(
                "{lost} log lines were dropped, because stderr was not read fast enough"
            ));
        }
    }
}

/// Prints what guests write.
struct GuestLines {
    lines: Lines,
    colour: bool,
}

impl<S: Subscriber> Layer<S> for GuestLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = GuestLine::default();
        event.record(&mut line);
        self.lines.add(line.to_text(self.colour).as_bytes());
    }
}

/// The fields of a guest's event that a person wants to see.
#[derive(Default)]
struct GuestLine {
    function: String,
    line: String,
}

impl GuestLine {
    /// The line with whose it is before it.
    fn to_text(&self, colour: bool) -> String {
        let line = say::clean_line(&self.line);
        format!("{} {line}\n", whose(&self.function, colour))
    }
}

/// `[function]`, in the colour that its name decides.
fn whose(function: &str, colour: bool) -> String {
    let function = say::clean_line(function);
    if !colour {
        return format!("[{function}]");
    }
    let sum: usize = function.bytes().map(usize::from).sum();
    let style = COLOURS[sum % COLOURS.len()].on_default();
    format!("{style}[{function}]{style:#}")
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
mod tests;
