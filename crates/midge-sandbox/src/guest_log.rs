//! What a guest writes to stdout and stderr, line by line into its function's log.
//!
//! Decides where lines end and how much of them one invocation may write. How much
//! all of a function's invocations may write in a second is `budget.rs`. Printing,
//! colours and control characters are the subscriber's business.
//!
//! **Invariant:** a guest that floods its log costs its function's `log_bytes` per
//! invocation and no more, be it in long lines or in empty ones; writing never waits.

pub(crate) mod budget;

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use midge_model::{FunctionName, NamespaceName, RevisionNumber};
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use self::budget::LogBudget;

/// The target of guest lines among the host's own events.
pub const GUEST_LOG_TARGET: &str = "guest";

/// A longer line is cut into lines of this size.
const LINE_BYTES_MAX: usize = 4 << 10;

/// What a line counts beside its bytes: about what it costs the host, however short it is.
const LINE_COST_BYTES: u64 = 256;

/// How much a guest may hand over in one write.
const WRITE_BYTES_MAX: usize = 64 << 10;

/// Names the invocation in every line, and knows how much may be written in its name.
#[derive(Debug, Clone)]
pub(crate) struct LogLabel {
    pub(crate) namespace: NamespaceName,
    pub(crate) function: FunctionName,
    pub(crate) revision: RevisionNumber,
    pub(crate) request_id: Arc<str>,
    pub(crate) budget: LogBudget,
}

impl LogLabel {
    /// Whether one more line may be written now. If not it is counted, and the count is told in a
    /// line of its own, once a second. Whoever writes into a function's log asks here.
    pub(crate) fn may_write(&self, stream: &'static str, line: &str) -> bool {
        let taken = self.budget.take(counted_bytes(line.len()));
        if let Some(notice) = taken.notice {
            self.emit(stream, &notice);
        }
        taken.may_write
    }

    /// Writes the line, without asking.
    pub(crate) fn emit(&self, stream: &'static str, line: &str) {
        tracing::info!(
            target: GUEST_LOG_TARGET,
            namespace = self.namespace.as_str(),
            function = self.function.as_str(),
            revision = %self.revision,
            request_id = &*self.request_id,
            stream,
            line,
            "guest wrote"
        );
    }
}

#[cfg(test)]
impl LogLabel {
    /// The label of an invocation of function `f` with the safe limits.
    pub(crate) fn of_a_test() -> Self {
        Self {
            namespace: NamespaceName::default(),
            function: "f".parse().unwrap(),
            revision: RevisionNumber::FIRST,
            request_id: "r".into(),
            budget: LogBudget::of(&midge_model::Limits::SAFE),
        }
    }
}

fn counted_bytes(line_bytes: usize) -> u64 {
    (line_bytes as u64).saturating_add(LINE_COST_BYTES)
}

/// One of a guest's output streams. Clones write to the same lines.
#[derive(Clone)]
pub(crate) struct GuestLog(Arc<Mutex<Lines>>);

impl GuestLog {
    pub(crate) fn new(label: LogLabel, stream: &'static str) -> Self {
        let allowed_bytes = label.budget.bytes_max;
        Self(Arc::new(Mutex::new(Lines {
            label,
            stream,
            partial: Vec::new(),
            counted_bytes: 0,
            allowed_bytes,
        })))
    }

    /// Writes for the next invocation of the instance from here on. A line that was not ended is
    /// the one's before.
    pub(crate) fn renew(&self, request_id: &Arc<str>) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !lines.partial.is_empty() {
            lines.end_line();
        }
        lines.label.request_id = Arc::clone(request_id);
        lines.counted_bytes = 0;
        lines.allowed_bytes = lines.label.budget.bytes_max;
    }

    /// Allows what one more invocation may write, in an instance that has so many now: never more
    /// than all of those together.
    pub(crate) fn allow_one_more(&self, of: u32) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes_max = lines.label.budget.bytes_max;
        let left_bytes = lines.allowed_bytes.saturating_sub(lines.counted_bytes);
        let together_bytes = bytes_max.saturating_mul(of.into());
        lines.counted_bytes = 0;
        lines.allowed_bytes = left_bytes.saturating_add(bytes_max).min(together_bytes);
    }

    /// A line of ours among the guest's.
    pub(crate) fn note(&self, line: &str) {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.emit(line);
    }

    fn append(&self, bytes: &[u8]) {
        // Only this invocation's own streams share the lock, and all live on one thread.
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .append(bytes);
    }
}

struct Lines {
    label: LogLabel,
    stream: &'static str,
    partial: Vec<u8>,
    counted_bytes: u64,
    /// How much may be counted.
    allowed_bytes: u64,
}

impl Lines {
    fn append(&mut self, bytes: &[u8]) {
        let lines = bytes.split_inclusive(|&byte| byte == b'\n');
        for piece in lines.flat_map(|line| line.chunks(LINE_BYTES_MAX)) {
            if self.has_written_all() {
                return;
            }
            self.append_piece(piece);
            if self.has_written_all() {
                self.end_line();
                self.emit("further output of this invocation is dropped, it wrote too much");
            }
        }
    }

    fn has_written_all(&self) -> bool {
        self.counted_bytes >= self.allowed_bytes
    }

    /// Adds a piece that is no longer than a line and ends at most one.
    fn append_piece(&mut self, piece: &[u8]) {
        if self.partial.len() + piece.len() > LINE_BYTES_MAX {
            self.end_line();
        }
        self.partial.extend_from_slice(piece);
        self.counted_bytes += piece.len() as u64;
        if self.partial.last() == Some(&b'\n') {
            self.partial.pop();
            if self.partial.last() == Some(&b'\r') {
                self.partial.pop();
            }
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.partial);
        self.counted_bytes += LINE_COST_BYTES;
        self.emit(&String::from_utf8_lossy(&line));
    }

    fn emit(&self, line: &str) {
        if self.label.may_write(self.stream, line) {
            self.label.emit(self.stream, line);
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.partial.is_empty() {
            self.end_line();
        }
    }
}

impl IsTerminal for GuestLog {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestLog {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for GuestLog {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for GuestLog {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.append(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

impl AsyncWrite for GuestLog {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.append(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG_BYTES_MAX: u64 = 256 << 10;

    fn counted_after(bytes_max: u64, written: &[u8], times: usize) -> u64 {
        let mut label = LogLabel::of_a_test();
        label.budget.bytes_max = bytes_max;
        let log = GuestLog::new(label, "stdout");
        for _ in 0..times {
            log.append(written);
        }
        log.0.lock().unwrap().counted_bytes
    }

    #[test]
    fn a_flood_of_empty_lines_is_over_as_soon_as_one_of_long_lines() {
        let most = LOG_BYTES_MAX + counted_bytes(LINE_BYTES_MAX) + LINE_COST_BYTES;
        assert!(counted_after(LOG_BYTES_MAX, &[b'\n'; 1 << 16], 1_000) <= most);
        assert!(counted_after(LOG_BYTES_MAX, &[b'x'; 1 << 16], 1_000) <= most);
    }

    #[test]
    fn an_honest_line_costs_its_bytes_and_a_little() {
        let counted = counted_after(LOG_BYTES_MAX, b"hello\n", 1);
        assert_eq!(counted, 6 + LINE_COST_BYTES);
    }

    #[test]
    fn the_next_invocation_of_an_instance_may_write_as_much() {
        let log = GuestLog::new(LogLabel::of_a_test(), "stdout");
        log.append(b"begun");
        log.renew(&"next".into());
        let lines = log.0.lock().unwrap();
        assert_eq!((lines.counted_bytes, lines.partial.len()), (0, 0));
        assert_eq!(&*lines.label.request_id, "next");
    }

    #[test]
    fn those_in_an_instance_may_write_as_much_together_and_no_more() {
        let log = GuestLog::new(LogLabel::of_a_test(), "stdout");
        let bytes_max = log.0.lock().unwrap().allowed_bytes;
        let left = |log: &GuestLog| {
            let lines = log.0.lock().unwrap();
            lines.allowed_bytes - lines.counted_bytes
        };
        log.allow_one_more(1);
        assert_eq!(left(&log), bytes_max, "the first has what it has anyway");
        log.append(b"hello\n");
        log.append(b"begun");
        log.allow_one_more(2);
        let used = 11 + LINE_COST_BYTES;
        assert_eq!(left(&log), 2 * bytes_max - used);
        assert_eq!(log.0.lock().unwrap().partial.len(), 5, "another one's line");
        log.allow_one_more(1);
        assert_eq!(left(&log), bytes_max);
    }

    #[test]
    fn a_limit_of_nothing_lets_nothing_through() {
        assert_eq!(counted_after(0, b"hello\n", 10), 0);
    }
}
