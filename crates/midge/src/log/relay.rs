//! Lines of guests on their way from a worker to its supervisor.
//!
//! Keeps them until the worker passes them on, which is soon. Where they are read is the control
//! door.
//!
//! **Invariant:** writing never waits, and what waits is bounded: lines over the bound are counted
//! and lost.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use midge_model::{FunctionName, NamespaceName, RevisionNumber};
use tokio::sync::Notify;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::protocol::{FunctionKey, GuestLine};

/// Lines that wait to be passed on.
const LINES_MAX: usize = 4_096;

/// Their bytes.
const BYTES_MAX: usize = 1 << 20;

/// Lines that come close together are passed on together.
const GATHER: Duration = Duration::from_millis(20);

/// The lines that wait to be passed on.
#[derive(Debug, Default)]
pub(crate) struct Relay {
    waiting: Mutex<Waiting>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<GuestLine>,
    bytes: usize,
    lost: u64,
}

impl Relay {
    /// Resolves when there are lines to take, or soon after.
    pub(crate) async fn waiting(&self) {
        self.more.notified().await;
        tokio::time::sleep(GATHER).await;
    }

    /// The lines that wait, and how many were lost since this was last asked.
    pub(crate) fn take(&self) -> (VecDeque<GuestLine>, u64) {
        let Waiting { lines, lost, .. } = std::mem::take(&mut *self.lock());
        (lines, lost)
    }

    fn add(&self, line: GuestLine) {
        let mut waiting = self.lock();
        waiting.bytes += line.line.len();
        if waiting.lines.len() >= LINES_MAX || waiting.bytes > BYTES_MAX {
            waiting.bytes -= line.line.len();
            waiting.lost += 1;
        } else {
            waiting.lines.push_back(line);
        }
        self.more.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the events that are lines of guests.
pub(super) struct RelayLayer(pub(super) Arc<Relay>);

impl<S: Subscriber> Layer<S> for RelayLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut read = Read::default();
        event.record(&mut read);
        if let Some(line) = read.line() {
            self.0.add(line);
        }
    }
}

/// The fields of a guest's event.
#[derive(Default)]
struct Read {
    namespace: Option<NamespaceName>,
    function: Option<FunctionName>,
    revision: Option<RevisionNumber>,
    request_id: String,
    stream: String,
    line: String,
}

impl Read {
    fn line(self) -> Option<GuestLine> {
        Some(GuestLine {
            key: FunctionKey {
                namespace: self.namespace?,
                function: self.function?,
            },
            revision: self.revision?,
            at: midge_store::now(),
            request_id: self.request_id,
            stream: self.stream,
            line: self.line,
        })
    }
}

impl Visit for Read {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "namespace" => self.namespace = value.parse().ok(),
            "function" => self.function = value.parse().ok(),
            "revision" => self.revision = value.parse().ok(),
            "request_id" => value.clone_into(&mut self.request_id),
            "stream" => value.clone_into(&mut self.stream),
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
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    fn write(lines: usize) {
        for number in 0..lines {
            tracing::info!(
                target: "guest",
                namespace = "default",
                function = "shop",
                revision = %RevisionNumber::FIRST,
                request_id = "request",
                stream = "stdout",
                line = format!("line {number}"),
                "guest wrote"
            );
        }
    }

    #[test]
    fn a_line_arrives_with_all_that_is_known_of_it() {
        let relay = Arc::new(Relay::default());
        let subscriber = tracing_subscriber::registry().with(RelayLayer(Arc::clone(&relay)));
        tracing::subscriber::with_default(subscriber, || write(1));
        let (lines, lost) = relay.take();
        assert_eq!((lines.len(), lost), (1, 0));
        assert_eq!(lines[0].key.to_string(), "default/shop");
        assert_eq!(lines[0].revision, RevisionNumber::FIRST);
        assert_eq!(lines[0].line, "line 0");
    }

    #[test]
    fn a_flood_is_counted_and_not_kept() {
        let relay = Arc::new(Relay::default());
        let subscriber = tracing_subscriber::registry().with(RelayLayer(Arc::clone(&relay)));
        tracing::subscriber::with_default(subscriber, || write(LINES_MAX + 10));
        let (lines, lost) = relay.take();
        assert_eq!((lines.len(), lost), (LINES_MAX, 10));
        assert_eq!(relay.take().1, 0);
    }
}
