//! What supervisor and worker say to each other.
//!
//! JSON objects, one a line: a `Plan` first and then `Order`s down the worker's
//! stdin, `Event`s up its stdout. A worker in the supervisor's own process gets
//! the same values over channels. What they do about them is `supervisor/` and
//! `worker.rs`.
//!
//! **Invariant:** both ends are the same binary, so the format carries no
//! version; a line longer than its bound ends the conversation.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;

use midge_ingress::IngressConfig;
use midge_model::{FunctionName, Revision, SecretText, Use};
use midge_sandbox::{PowersConfig, SandboxConfig, UsagePlan};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::config::TlsPaths;
use crate::log::LogConfig;

/// The longest line down: a plan of ten thousand functions with large environments fits.
pub(crate) const DOWN_LINE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The longest line up. A worker runs foreign code, so it is not trusted with our memory.
pub(crate) const UP_LINE_BYTES_MAX: usize = 64 * 1024;

/// How often a worker says that it is alive.
pub(crate) const ALIVE_EVERY: Duration = Duration::from_secs(1);

/// How long a worker may say nothing before it counts as stuck. No request may hold the thread
/// that long, so only a fault of ours can; a machine under load may well be slow.
pub(crate) const SILENT_MAX: Duration = Duration::from_secs(20);

/// How many orders or events may wait on one channel.
pub(crate) const CHANNEL_LINES: usize = 64;

/// Where a worker process finds the listening socket: the first after the standard three, as the
/// socket activation protocol wants it.
pub(crate) const LISTENER_FD: RawFd = 3;

/// Where a worker process finds the page of counters.
pub(crate) const COUNTERS_FD: RawFd = 4;

/// Where a worker process finds the counts of folders with a quota.
pub(crate) const USAGE_FD: RawFd = 5;

/// Everything a worker needs to know to serve.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Which worker this is, from 0.
    pub(crate) worker: usize,
    /// How many there are.
    pub(crate) workers: usize,
    /// What to serve.
    pub(crate) revisions: Vec<PlannedRevision>,
    /// How to speak HTTP.
    pub(crate) ingress: IngressConfig,
    /// How to run guests.
    pub(crate) sandbox: SandboxConfig,
    /// What to lend them.
    pub(crate) powers: PowersConfig,
    /// The certificate, when HTTPS is asked for.
    pub(crate) tls: Option<TlsPaths>,
    /// How long requests in flight may go on when no supervisor is left to decide.
    pub(crate) grace: Duration,
    /// What is logged, and how.
    pub(crate) log: LogConfig,
}

impl Plan {
    /// Which folder's count stands where.
    pub(crate) fn usage(&self) -> UsagePlan {
        let revisions = self.revisions.iter();
        UsagePlan::of(revisions.map(|planned| &planned.revision.grants))
    }
}

/// What a worker shares with its siblings, besides files.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Where requests come from.
    pub(crate) listener: TcpListener,
    /// How many invocations run on the whole node.
    pub(crate) counters: File,
    /// How much lies in the folders that have a quota.
    pub(crate) usage: File,
}

impl Shared {
    /// The same, for one more worker.
    ///
    /// # Errors
    ///
    /// There are no descriptors left.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            listener: self.listener.try_clone()?,
            counters: self.counters.try_clone()?,
            usage: self.usage.try_clone()?,
        })
    }
}

/// A revision and where its native code lies.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PlannedRevision {
    /// What to serve.
    pub(crate) revision: Revision,
    /// Its native code.
    pub(crate) artifact: PathBuf,
    /// The secrets it was granted, by name.
    pub(crate) secrets: BTreeMap<String, SecretText>,
}

/// What a supervisor tells a serving worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    /// Take no more requests, finish those in flight, then exit.
    Drain,
    /// Cut what is still in flight and exit.
    End,
    /// Read the certificate and its key again.
    ReloadTls,
}

/// What a worker tells its supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Event {
    /// It accepts connections.
    Ready,
    /// Its thread still turns; said again and again.
    Alive,
    /// A watched function was seen to use these for the first time in this worker.
    Used {
        /// Which function.
        function: FunctionName,
        /// What.
        uses: Vec<Use>,
    },
    /// It cannot serve, and why; it exits.
    Failed {
        /// The chain of causes.
        message: String,
    },
    /// It has read the certificate again, or kept the old one for this reason.
    TlsReloaded {
        /// Why the old one was kept.
        kept: Option<String>,
    },
    /// All connections have ended; it exits.
    Drained {
        /// Requests that were finished while draining.
        finished: u32,
        /// Requests that were cut at the end of the grace period.
        cut: u32,
    },
}

/// What a compiler answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Compiled {
    /// The native code is in the cache.
    Done {
        /// Its file.
        artifact: PathBuf,
    },
    /// The component is at fault.
    Refused {
        /// The chain of causes.
        message: String,
        /// The remedy.
        hint: Option<String>,
    },
}

/// One value as a line.
pub(crate) fn to_line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("plans, orders and events have string keys");
    line.push(b'\n');
    line
}

/// Reads values that come one a line.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    from: R,
    waiting: Vec<u8>,
    line_bytes_max: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Reads from `from`, and gives up at a line longer than `line_bytes_max`.
    pub(crate) fn new(from: R, line_bytes_max: usize) -> Self {
        Self {
            from,
            waiting: Vec::new(),
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
                self.waiting.drain(..=searched + at);
                return Ok(Some(value));
            }
            searched = self.waiting.len();
            if searched > self.line_bytes_max {
                let most = self.line_bytes_max;
                return Err(io::Error::other(format!(
                    "a line is longer than {most} bytes"
                )));
            }
            if self.from.read_buf(&mut self.waiting).await? == 0 {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn values_come_out_as_they_went_in_whatever_the_chunks() {
        let mut bytes = to_line(&Event::Ready);
        bytes.extend(to_line(&Event::Drained {
            finished: 3,
            cut: 1,
        }));
        let (one, rest) = bytes.split_at(4);
        let mut lines = Lines::new(one.chain(rest), UP_LINE_BYTES_MAX);
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
}
