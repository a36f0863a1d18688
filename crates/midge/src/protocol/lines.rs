//! Values as lines of JSON, and back.
//!
//! Decides how long a line may be and where it ends. What is said is `protocol.rs`.
//!
//! **Invariant:** no line makes the reader hold more than its bound and one read.

use std::io;

use bytes::{Buf as _, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest line down. An order about a function takes less, which is the roster's to see to
/// (`ORDER_BYTES_MAX`): a longer line would end every worker.
pub(crate) const DOWN_LINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The longest line up. A worker runs foreign code, so it is not trusted with our memory.
pub(crate) const UP_LINE_BYTES_MAX: usize = 64 * 1024;

/// What one event may carry; the rest of the line is for its frame.
pub(crate) const EVENT_BYTES_MAX: usize = UP_LINE_BYTES_MAX - 4 * 1024;

/// Room for what one read brings: as much as a pipe holds.
const READ_BYTES: usize = 64 * 1024;

/// One value as a line.
pub(crate) fn to_line(value: &impl Serialize) -> Vec<u8> {
    let mut line = Vec::new();
    add_line(&mut line, value);
    line
}

/// Adds one value as a line.
pub(crate) fn add_line(lines: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(&mut *lines, value).expect("plans, orders and events have string keys");
    lines.push(b'\n');
}

/// How long the line of one value is, without making it.
pub(crate) fn line_bytes(value: &impl Serialize) -> usize {
    let mut counted = Counted(0);
    serde_json::to_writer(&mut counted, value).expect("plans, orders and events have string keys");
    counted.0 + 1
}

/// Keeps nothing of what is written but its length.
struct Counted(usize);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Values of different lengths in as few groups as fit a line each; what fits none is left out.
pub(crate) fn in_groups<T: Serialize>(values: impl IntoIterator<Item = T>) -> Grouped<T> {
    let mut grouped = Grouped {
        groups: Vec::new(),
        too_long: Vec::new(),
    };
    let mut group_bytes = EVENT_BYTES_MAX;
    for value in values {
        let bytes = line_bytes(&value);
        if bytes > EVENT_BYTES_MAX {
            grouped.too_long.push(value);
            continue;
        }
        if group_bytes + bytes > EVENT_BYTES_MAX {
            grouped.groups.push(Vec::new());
            group_bytes = 0;
        }
        group_bytes += bytes;
        if let Some(group) = grouped.groups.last_mut() {
            group.push(value);
        }
    }
    grouped
}

/// What [`in_groups`] made.
#[derive(Debug)]
pub(crate) struct Grouped<T> {
    /// Each fits a line.
    pub(crate) groups: Vec<Vec<T>>,
    /// Fits none.
    pub(crate) too_long: Vec<T>,
}

/// Reads values that come one a line.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    from: R,
    waiting: BytesMut,
    line_bytes_max: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Reads from `from`, and gives up at a line longer than `line_bytes_max`.
    pub(crate) fn new(from: R, line_bytes_max: usize) -> Self {
        Self {
            from,
            waiting: BytesMut::new(),
            line_bytes_max,
        }
    }

    /// The next value, or `None` at the end. May be dropped at any await without losing a byte.
    ///
    /// # Errors
    ///
    /// The other end broke the agreement or the pipe; the conversation is over.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.waiting[searched..]
                .iter()
                .position(|byte| *byte == b'\n')
            {
                let value = serde_json::from_slice(&self.waiting[..searched + at])?;
                self.waiting.advance(searched + at + 1);
                return Ok(Some(value));
            }
            searched = self.waiting.len();
            if searched > self.line_bytes_max {
                let most = self.line_bytes_max;
                return Err(io::Error::other(format!(
                    "a line is longer than {most} bytes"
                )));
            }
            self.waiting.reserve(READ_BYTES);
            if self.from.read_buf(&mut self.waiting).await? == 0 {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Event;

    #[tokio::test]
    async fn values_come_out_as_they_went_in_whatever_the_chunks() {
        let mut bytes = to_line(&Event::Ready);
        bytes.extend(to_line(&Event::Drained {
            finished: 3,
            cut: 1,
        }));
        let (one, rest) = bytes.split_at(4);
        let mut lines = Lines::new(AsyncReadExt::chain(one, rest), UP_LINE_BYTES_MAX);
        assert_eq!(lines.next().await.unwrap(), Some(Event::Ready));
        assert_eq!(
            lines.next().await.unwrap(),
            Some(Event::Drained {
                finished: 3,
                cut: 1
            })
        );
        assert_eq!(lines.next::<Event>().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_line_without_end_is_refused() {
        let mut lines = Lines::new(tokio::io::repeat(b'x'), 1000);
        let error = lines.next::<Event>().await.unwrap_err();
        assert_eq!(error.to_string(), "a line is longer than 1000 bytes");
    }

    #[test]
    fn values_are_grouped_so_that_each_group_fits_a_line() {
        let values = (0..1_000).map(|length| "x".repeat(length));
        let grouped = in_groups(values.chain(["y".repeat(UP_LINE_BYTES_MAX)]));
        assert_eq!(grouped.too_long.len(), 1);
        assert_eq!(grouped.groups.iter().flatten().count(), 1_000);
        assert!(grouped.groups.len() > 1);
        for group in &grouped.groups {
            assert!(to_line(group).len() <= UP_LINE_BYTES_MAX);
        }
    }
}
