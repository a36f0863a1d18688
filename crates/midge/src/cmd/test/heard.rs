//! What a function writes while it is tested, and what is refused to it.
//!
//! **Invariant:** lines go to the case that they are of, whichever others run beside it: each runs on
//! one thread from start to end.

use std::sync::{Arc, Mutex, PoisonError};

use midge_sandbox::GUEST_LOG_TARGET;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{FilterFn, LevelFilter};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// Runs it, and gives back what guests wrote on this thread meanwhile.
pub(super) fn during<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
    let heard = Heard::default();
    let is_guests = FilterFn::new(|event| event.target() == GUEST_LOG_TARGET);
    let layer = heard
        .clone()
        .with_filter(is_guests.with_max_level_hint(LevelFilter::INFO));
    let subscriber = tracing_subscriber::registry().with(layer);
    let done = tracing::subscriber::with_default(subscriber, work);
    let lines = std::mem::take(&mut *heard.0.lock().unwrap_or_else(PoisonError::into_inner));
    (done, lines)
}

/// The lines of one case. How many there are is bounded by the function's own limits.
#[derive(Debug, Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Heard {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let Line { stream, line } = line;
        // A refusal says itself what it is.
        let line = match stream.as_str() {
            "denied" => line,
            _ => format!("{stream}: {line}"),
        };
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(line);
    }
}

#[derive(Default)]
struct Line {
    stream: String,
    line: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "stream" => value.clone_into(&mut self.stream),
            "line" => value.clone_into(&mut self.line),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
