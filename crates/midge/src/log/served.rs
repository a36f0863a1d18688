//! The line that a request leaves, made fast.
//!
//! It says what the general formatter of [`tracing_subscriber`] would say, byte for byte; that it
//! does is tested against it. But there is one such line per request, which costs no more than a
//! small function may: here nothing is allocated, and the date is made once a second.
//!
//! **Invariant:** a line is the same whichever of the two makes it.

use std::cell::Cell;
use std::fmt;
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use midge_ingress::ACCESS_TARGET;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::Format;
use super::brief::BriefLine;
use super::gather::Lines;

/// Whether this is a line that this module makes.
pub(super) fn is_served(event: &Metadata<'_>) -> bool {
    event.target() == ACCESS_TARGET && *event.level() == Level::INFO && event.is_event()
}

/// Writes the lines of requests.
pub(super) struct ServedLines {
    pub(super) lines: Lines,
    pub(super) format: Format,
    pub(super) colour: bool,
    /// Whether text is for who wrote the function.
    pub(super) brief: bool,
}

impl<S: Subscriber> Layer<S> for ServedLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if let (Format::Text, true) = (self.format, self.brief) {
            let mut line = BriefLine::default();
            event.record(&mut line);
            self.lines.add(line.to_text(self.colour).as_bytes());
            return;
        }
        thread_local! {
            static LINE: Cell<Line> = Cell::default();
        }
        let mut line = LINE.take();
        line.write(event, self.format, self.colour);
        self.lines.add(&line.text);
        LINE.set(line);
    }
}

/// A line in the making, and what it keeps for the next.
#[derive(Default)]
struct Line {
    text: Vec<u8>,
    second: Second,
}

impl Line {
    fn write(&mut self, event: &Event<'_>, format: Format, colour: bool) {
        let Self { text, second } = self;
        text.clear();
        let target = event.metadata().target();
        match format {
            Format::Json => {
                put_all(text, [r#"{"timestamp":""#]);
                second.write(now(), text);
                put_all(text, [r#"","level":"INFO""#]);
                event.record(&mut JsonFields(text));
                put_all(text, [r#","target":""#, target, "\"}\n"]);
            }
            Format::Text => {
                let style = if colour { &COLOURED } else { &PLAIN };
                put_all(text, [style.dimmed]);
                second.write(now(), text);
                put_all(text, [style.end, " ", style.green, " INFO", style.end, " "]);
                put_all(text, [style.dimmed, target, style.end]);
                put_all(text, [style.dimmed, ":", style.end]);
                event.record(&mut TextFields { text, style });
                text.push(b'\n');
            }
        }
    }
}

/// What stands before and behind words that have a colour.
struct Style {
    dimmed: &'static str,
    green: &'static str,
    italic: &'static str,
    end: &'static str,
}

const PLAIN: Style = Style {
    dimmed: "",
    green: "",
    italic: "",
    end: "",
};

const COLOURED: Style = Style {
    dimmed: "\x1b[2m",
    green: "\x1b[32m",
    italic: "\x1b[3m",
    end: "\x1b[0m",
};

#[expect(
    clippy::disallowed_methods,
    reason = "a log line tells the time of the machine, to the microsecond"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

/// The text of a second.
#[derive(Default)]
struct Second {
    since_epoch_secs: u64,
    text: String,
}

impl Second {
    /// Writes a time, as RFC 3339 has it.
    fn write(&mut self, time: SystemTime, text: &mut Vec<u8>) {
        // A clock that stands before 1970 is at 1970.
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.since_epoch_secs != since_epoch.as_secs() || self.text.is_empty() {
            self.since_epoch_secs = since_epoch.as_secs();
            let begun = UNIX_EPOCH + Duration::from_secs(self.since_epoch_secs);
            self.text = humantime::format_rfc3339_seconds(begun).to_string();
            self.text.pop();
        }
        put_all(text, [&*self.text]);
        put(text, format_args!(".{:06}Z", since_epoch.subsec_micros()));
    }
}

/// Writes ` name=value`, and of the message only what it says.
struct TextFields<'a> {
    text: &'a mut Vec<u8>,
    style: &'static Style,
}

impl TextFields<'_> {
    fn name(&mut self, field: &Field) {
        self.text.push(b' ');
        if !is_message(field) {
            let Style {
                italic,
                dimmed,
                end,
                ..
            } = self.style;
            put_all(self.text, [italic, field.name(), end, dimmed, "=", end]);
        }
    }
}

impl Visit for TextFields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field);
        if is_plain(value.as_bytes()) {
            put_all(self.text, ["\"", value, "\""]);
        } else {
            put(self.text, format_args!("{value:?}"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.name(field);
        put(self.text, format_args!("{value:?}"));
    }
}

/// Writes `,"name":value`.
struct JsonFields<'a>(&'a mut Vec<u8>);

impl JsonFields<'_> {
    fn name(&mut self, field: &Field) {
        put_all(self.0, [",\"", field.name(), "\":"]);
    }

    fn value(&mut self, field: &Field, value: impl serde::Serialize) {
        self.name(field);
        serde_json::to_writer(&mut *self.0, &value).expect("a number or a text is JSON");
    }
}

impl Visit for JsonFields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.value(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.name(field);
        put(self.0, format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.name(field);
        put(self.0, format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.name(field);
        put(self.0, format_args!("{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if is_plain(value.as_bytes()) {
            self.name(field);
            put_all(self.0, ["\"", value, "\""]);
        } else {
            self.value(field, value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.name(field);
        let begin = self.0.len();
        put(self.0, format_args!("\"{value:?}"));
        if is_plain(&self.0[begin + 1..]) {
            self.0.push(b'"');
        } else {
            self.0.truncate(begin);
            let value = format_args!("{value:?}");
            serde_json::to_writer(&mut *self.0, &value).expect("a text is JSON");
        }
    }
}

fn is_message(field: &Field) -> bool {
    field.name() == "message"
}

/// Whether no character of a text is written in another way, whatever the format.
fn is_plain(text: &[u8]) -> bool {
    let is_plain = |byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    text.iter().copied().all(is_plain)
}

fn put_all<const COUNT: usize>(text: &mut Vec<u8>, parts: [&str; COUNT]) {
    for part in parts {
        text.extend_from_slice(part.as_bytes());
    }
}

fn put(text: &mut Vec<u8>, words: fmt::Arguments<'_>) {
    text.write_fmt(words).expect("a Vec takes all writes");
}

#[cfg(test)]
mod tests;
