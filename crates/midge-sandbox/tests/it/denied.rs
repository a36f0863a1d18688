//! What a test's guests were refused, as their logs tell it.

use std::fmt;
use std::sync::{Arc, Mutex};

use midge_sandbox::GUEST_LOG_TARGET;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Runs `test` on this thread, and returns the refusals that were told meanwhile.
pub(crate) fn told_during<T>(test: impl FnOnce() -> T) -> (T, Vec<String>) {
    let told = Told::default();
    let result = tracing::subscriber::with_default(told.clone(), test);
    let lines = std::mem::take(&mut *told.0.lock().unwrap());
    (result, lines)
}

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Subscriber for Told {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == GUEST_LOG_TARGET
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        if fields.stream == "denied" {
            self.0.lock().unwrap().push(fields.line);
        }
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

#[derive(Default)]
struct Fields {
    stream: String,
    line: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "stream" => value.clone_into(&mut self.stream),
            "line" => value.clone_into(&mut self.line),
            _ => {}
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn fmt::Debug) {}
}
