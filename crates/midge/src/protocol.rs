//! What supervisor and worker say to each other.
//!
//! JSON objects, one a line (`protocol/lines.rs`): a `Plan` first and then `Order`s down the
//! worker's stdin, `Event`s up its stdout. A worker in the supervisor's own process gets
//! the same values over channels. What they do about them is `supervisor/` and
//! `worker.rs`.
//!
//! **Invariant:** both ends are the same binary, so the format carries no
//! version; a line longer than its bound ends the conversation.

mod lines;
mod spelling;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::fd::RawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use midge_ingress::IngressConfig;
use midge_model::{
    Digest, FunctionName, NamespaceName, Revision, RevisionNumber, SecretText, Timestamp, Traffic,
    Use,
};
use midge_runtime::{FunctionTally, LoadedCounts};
use midge_sandbox::{PowersConfig, SandboxConfig};
use serde::{Deserialize, Serialize};

pub(crate) use self::lines::{
    DOWN_LINE_BYTES_MAX, Lines, UP_LINE_BYTES_MAX, add_line, in_groups, line_bytes, to_line,
};
pub(crate) use self::spelling::SECRET_DIGITS;
use crate::config::TlsPaths;
use crate::log::LogConfig;

/// How often a worker says that it is alive.
pub(crate) const ALIVE_EVERY: Duration = Duration::from_secs(1);

/// How long a worker may say nothing, or take no order, before it counts as stuck. No request may
/// hold the thread that long, so only a fault of ours can; a machine under load may well be slow.
pub(crate) const SILENT_MAX: Duration = Duration::from_secs(20);

/// How many orders or events may wait on one channel.
pub(crate) const CHANNEL_LINES: usize = 64;

/// Folders with a quota on one node. The page of their counts has room for so many.
pub(crate) const FOLDERS_MAX: usize = 4_096;

/// Where a worker process finds the listening socket: the first after the standard three, as the
/// socket activation protocol wants it.
pub(crate) const LISTENER_FD: RawFd = 3;

/// Where a worker process asks for values: the second, for the same reason.
pub(crate) const VALUES_FD: RawFd = 4;

/// Where a worker process finds the node's own door, when it has one: the third.
pub(crate) const INTERNAL_FD: RawFd = 5;

/// Where a worker process finds the page of counters.
pub(crate) const COUNTERS_FD: RawFd = 6;

/// Where a worker process finds the counts of folders with a quota.
pub(crate) const USAGE_FD: RawFd = 7;

/// Everything a worker needs to know before it is told about functions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Which worker this is, from 0.
    pub(crate) worker: usize,
    /// How many there are.
    pub(crate) workers: usize,
    /// Below which domain functions have addresses of their own; empty for none.
    pub(crate) domain: String,
    /// How to speak HTTP.
    pub(crate) ingress: IngressConfig,
    /// How to run guests.
    pub(crate) sandbox: SandboxConfig,
    /// What to lend them.
    pub(crate) powers: PowersConfig,
    /// Memory that loaded code may hold over all workers.
    pub(crate) memory_target_bytes: u64,
    /// Where native code lies.
    pub(crate) cache_dir: PathBuf,
    /// Where folders of functions are made when they are first needed.
    pub(crate) data_root: Option<PathBuf>,
    /// The certificate, when HTTPS is asked for.
    pub(crate) tls: Option<TlsPaths>,
    /// How long requests in flight may go on when no supervisor is left to decide.
    pub(crate) grace: Duration,
    /// Whether a function that cannot be loaded before the door opens keeps it shut. On a node
    /// that people deploy to it must not: the others have to be served.
    pub(crate) strict: bool,
    /// Whether lines of guests and what invocations came to are passed on to the supervisor.
    pub(crate) tells: bool,
    /// What is logged, and how.
    pub(crate) log: LogConfig,
}

/// What a worker shares with its siblings, besides files.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Where requests come from.
    pub(crate) listener: TcpListener,
    /// Where it asks for values of functions; each has an end of its own.
    pub(crate) values: Option<UnixStream>,
    /// Where the node itself sends requests, when it does.
    pub(crate) internal: Option<UnixListener>,
    /// How many invocations run on the whole node.
    pub(crate) counters: File,
    /// How much lies in the folders that have a quota.
    pub(crate) usage: File,
}

impl Shared {
    /// The same, for one more worker, which asks for values here.
    ///
    /// # Errors
    ///
    /// There are no descriptors left.
    pub(crate) fn for_worker(&self, values: UnixStream) -> io::Result<Self> {
        let internal = self.internal.as_ref().map(UnixListener::try_clone);
        Ok(Self {
            listener: self.listener.try_clone()?,
            values: Some(values),
            internal: internal.transpose()?,
            counters: self.counters.try_clone()?,
            usage: self.usage.try_clone()?,
        })
    }
}

/// Which function, over all namespaces.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct FunctionKey {
    /// Whose it is.
    pub(crate) namespace: NamespaceName,
    /// What it is called there.
    pub(crate) function: FunctionName,
}

impl fmt::Display for FunctionKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.namespace, self.function)
    }
}

/// A function as a worker is to serve it from now on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PlannedFunction {
    /// Which function.
    pub(crate) key: FunctionKey,
    /// Its column in the page of counters.
    pub(crate) column: usize,
    /// Which of its revisions answer.
    pub(crate) traffic: Traffic,
    /// Those that are kept.
    pub(crate) revisions: Vec<PlannedRevision>,
    /// The values of the secrets that any of them was granted, by name.
    #[serde(with = "spelling::secrets")]
    pub(crate) secrets: BTreeMap<String, SecretText>,
    /// The number of this order; a later one has a higher one.
    pub(crate) seq: u64,
}

/// A revision and what belongs to it without being part of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PlannedRevision {
    /// What to serve.
    #[serde(with = "spelling::shared")]
    pub(crate) revision: Arc<Revision>,
    /// Where its folders with a quota are counted, in the order of its grants.
    pub(crate) folders: Vec<usize>,
}

impl PlannedFunction {
    /// The values of the secrets that one of its revisions was granted.
    pub(crate) fn secrets_of(&self, revision: &Revision) -> BTreeMap<String, SecretText> {
        let grants = revision.grants.secrets.iter();
        let valued = grants.filter_map(|grant| self.secrets.get_key_value(&grant.name));
        valued
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

/// What a supervisor tells a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    /// Serve a function so.
    Apply {
        /// How.
        #[serde(with = "spelling::shared")]
        function: Arc<PlannedFunction>,
        /// Whether revisions with traffic are loaded before the function is swapped in.
        preload: bool,
    },
    /// Serve a function no more.
    Remove {
        /// Which.
        key: FunctionKey,
        /// The number of this order.
        seq: u64,
    },
    /// All that there is was told: open the door.
    Start,
    /// What became of native code that was asked for.
    NativeCode {
        /// The component's digest.
        digest: Digest,
        /// Why there is none; with `None` it is in the cache now.
        fault: Option<String>,
    },
    /// Take no more requests, finish those in flight, then exit.
    Drain,
    /// Cut what is still in flight and exit.
    End,
    /// Read the certificate and its key again.
    ReloadTls,
}

/// What a worker tells its supervisor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Event {
    /// It accepts connections.
    Ready,
    /// Its thread still turns; said again and again.
    Alive,
    /// What it has loaded; said when that has changed.
    Loaded(LoadedCounts),
    /// It serves a function as this order says, or a later one; or why it does not.
    Applied {
        /// Which function.
        key: FunctionKey,
        /// The order's number.
        seq: u64,
        /// What was wrong, as a chain of causes.
        fault: Option<String>,
    },
    /// A function's native code is not in the cache.
    NeedsNativeCode {
        /// Whose.
        key: FunctionKey,
        /// The component's digest.
        digest: Digest,
    },
    /// Lines that guests wrote.
    Wrote {
        /// The lines, oldest first.
        lines: Vec<GuestLine>,
        /// How many more there were, which are lost.
        lost: u64,
    },
    /// What invocations came to since this was last said.
    Tallies(Vec<FunctionTally>),
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

/// A line that a guest wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GuestLine {
    /// Whose guest.
    pub(crate) key: FunctionKey,
    /// Which of its revisions.
    pub(crate) revision: RevisionNumber,
    /// When.
    pub(crate) at: Timestamp,
    /// Which request it was about.
    pub(crate) request_id: String,
    /// `stdout` or `stderr`.
    pub(crate) stream: String,
    /// What it says.
    pub(crate) line: String,
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
    /// The machine is: the native code could not be written.
    Failed {
        /// The chain of causes.
        message: String,
        /// The remedy.
        hint: Option<String>,
    },
}
