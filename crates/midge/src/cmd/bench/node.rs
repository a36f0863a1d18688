//! `midge run` as a process of its own, started for a bench and ended with it.
//!
//! What is measured is what users run: the same command line, its log included, which is read and
//! thrown away but for what helps when something goes wrong.
//!
//! **Invariant:** the node ends with this process, however that ends, and its workers with the node.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::stop::Stop;
use crate::cmd::fault::Hint;
use crate::say;

/// Our own binary as it was when we started, whatever is on disk now.
const OURSELVES: &str = "/proc/self/exe";

/// How long requests in flight may go on when the node is ended.
const GRACE: &str = "--grace=5s";

/// How long the node may take to end, its grace period included.
const END_TIME_MAX: Duration = Duration::from_secs(15);

/// How long its last lines are waited for once it has ended.
const READ_TIME_MAX: Duration = Duration::from_secs(5);

/// The most that is kept of what a node says before it listens: a hint is not longer.
const FIRST_LINES_MAX: usize = 50;

/// The most warnings that are shown when something went wrong.
const WARNINGS_MAX: usize = 3;

/// What is read of a line; the rest is not looked at.
const LINE_BYTES_MAX: u64 = 16 * 1024;

/// A running `midge run`.
#[derive(Debug)]
pub(super) struct Node {
    child: Child,
    pid: u32,
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// How long it took from its start until it listened.
    pub(super) ready_after: Duration,
    said: Arc<Mutex<Said>>,
    reader: JoinHandle<()>,
}

/// What a node has said that may matter.
#[derive(Debug, Default)]
struct Said {
    /// Before it listened.
    first: Vec<String>,
    /// The last warnings since.
    warnings: VecDeque<String>,
}

/// Why there is no node.
#[derive(Debug, thiserror::Error)]
pub(super) enum NodeError {
    /// The system gave no process.
    #[error("start `midge run`")]
    Start { source: io::Error },
    /// It said why it does not serve.
    #[error("{message}")]
    Refused {
        message: String,
        hint: Option<String>,
    },
    /// We were told to stop while it was starting.
    #[error("stopped before the function was ready")]
    Stopped,
    /// It did not end as it should.
    #[error("end `midge run`")]
    End { source: io::Error },
}

impl Hint for NodeError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Refused { hint, .. } => hint.clone(),
            Self::Start { .. } | Self::Stopped | Self::End { .. } => None,
        }
    }
}

impl Node {
    /// Starts the functions at `path` with these flags of `midge run`, and waits until they answer.
    ///
    /// # Errors
    ///
    /// Why they do not; nothing is left running.
    pub(super) async fn start(
        path: &Path,
        words: &[OsString],
        stop: &Stop,
    ) -> Result<Self, NodeError> {
        let started = Instant::now();
        let mut command = Command::new(OURSELVES);
        command
            .arg0("midge")
            .args(["run", "--listen=127.0.0.1:0", "--receipt", GRACE])
            .arg("--end-with-parent")
            .args(words)
            .args([OsStr::new("--"), path.as_os_str()])
            // Filtered, it might not say that it listens.
            .env_remove("MIDGE_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C is ours to pass on, once the load has ended.
            .process_group(0)
            .kill_on_drop(true);
        let start = |source| NodeError::Start { source };
        let mut child = command.spawn().map_err(start)?;
        let stderr = child.stderr.take().expect("stderr is piped");
        let stderr = std::fs::File::from(stderr.into_owned_fd().map_err(start)?);
        let said = Arc::<Mutex<Said>>::default();
        let (ready, listens) = oneshot::channel();
        let reader = std::thread::spawn({
            let said = Arc::clone(&said);
            move || listen_to(stderr, &said, ready)
        });
        let pid = child.id().unwrap_or_default();
        tokio::select! {
            address = listens => match address {
                Ok(address) => Ok(Self {
                    child,
                    pid,
                    address,
                    ready_after: started.elapsed(),
                    said,
                    reader,
                }),
                // It closed its stderr, so it is ending.
                Err(_) => Err(refused(&mut child, reader, &said).await),
            },
            () = stop.asked(1) => {
                drop(child.kill().await);
                Err(NodeError::Stopped)
            }
        }
    }

    /// Its supervisor's process id.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// The last warnings of its log.
    pub(super) fn warnings(&self) -> Vec<String> {
        lock(&self.said).warnings.iter().cloned().collect()
    }

    /// Ends it as an operator would, and at once if asked to stop a second time.
    ///
    /// # Errors
    ///
    /// It cannot be told or waited for.
    pub(super) async fn end(mut self, stop: &Stop) -> Result<ExitStatus, NodeError> {
        let end = |source| NodeError::End { source };
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw)
            && let Err(error) = kill_process(pid, Signal::TERM)
        {
            tracing::debug!(%error, "node not told to end");
        }
        let ended = tokio::select! {
            ended = self.child.wait() => Some(ended),
            () = stop.asked(2) => None,
            () = tokio::time::sleep(END_TIME_MAX) => None,
        };
        let status = match ended {
            Some(ended) => ended.map_err(end)?,
            None => {
                self.child.kill().await.map_err(end)?;
                self.child.wait().await.map_err(end)?
            }
        };
        // Workers close it as they end.
        let read = tokio::task::spawn_blocking(|| self.reader.join());
        drop(tokio::time::timeout(READ_TIME_MAX, read).await);
        Ok(status)
    }
}

fn lock(said: &Mutex<Said>) -> std::sync::MutexGuard<'_, Said> {
    said.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a node that said nothing of listening has ended.
async fn refused(child: &mut Child, reader: JoinHandle<()>, said: &Mutex<Said>) -> NodeError {
    let ended = child.wait().await;
    let read = tokio::task::spawn_blocking(|| reader.join());
    drop(tokio::time::timeout(READ_TIME_MAX, read).await);
    let lines = lock(said).first.join("\n");
    let (before, hint) = match lines.split_once("\nhint: ") {
        Some((before, hint)) => (before, Some(hint.trim_end().to_owned())),
        None => (lines.as_str(), None),
    };
    let message = match before.rfind("error: ") {
        Some(start) => before[start + "error: ".len()..].trim_end().to_owned(),
        None => format!("`midge run` ended with {ended:?} before it listened"),
    };
    NodeError::Refused { message, hint }
}

/// Reads what a node says until it says no more. Never stops reading: a full pipe would cost it log
/// lines, which is not what users have.
fn listen_to(stderr: impl Read, said: &Mutex<Said>, ready: oneshot::Sender<SocketAddr>) {
    let mut ready = Some(ready);
    let mut lines = BufReader::with_capacity(1 << 16, stderr);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let mut line = (&mut lines).take(LINE_BYTES_MAX);
        if !matches!(line.read_until(b'\n', &mut bytes), Ok(1..)) {
            return;
        }
        let Some(waiting) = ready.take() else {
            keep_warning(&bytes, said);
            continue;
        };
        let line = String::from_utf8_lossy(&bytes);
        match address_in(&line) {
            // Nobody waits for it any more: then it is about to be ended.
            Some(address) => drop(waiting.send(address)),
            None => {
                if line.starts_with("compiling ") || line.starts_with("compiled ") {
                    say::line(line.trim_end());
                }
                let mut said = lock(said);
                if said.first.len() < FIRST_LINES_MAX {
                    said.first.push(line.trim_end().to_owned());
                }
                ready = Some(waiting);
            }
        }
    }
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let url = line.strip_prefix("listening on http://")?;
    url.trim_end().parse().ok()
}

fn keep_warning(line: &[u8], said: &Mutex<Said>) {
    // The level stands behind the time; a guest's line begins with its name.
    let begin = String::from_utf8_lossy(&line[..line.len().min(64)]);
    let mut words = begin.split_whitespace().skip(1);
    if !matches!(words.next(), Some("WARN" | "ERROR")) {
        return;
    }
    let warnings = &mut lock(said).warnings;
    if warnings.len() == WARNINGS_MAX {
        warnings.pop_front();
    }
    warnings.push_back(String::from_utf8_lossy(line).trim_end().to_owned());
}
