//! One worker, seen from its supervisor: a child process or a task.
//!
//! Starts it, hands it the plan and the listening sockets, carries orders down
//! and events up, and says how it ended. When to start one and what an event
//! means is `fleet.rs`.
//!
//! **Invariant:** every started worker sends exactly one [`News::Ended`], its
//! last; dropping the handle ends the worker. Neither direction waits for the other.

use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use command_fds::{CommandFdExt as _, FdMapping};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::roster::Mailbox;
use crate::config;
use crate::log::Relay;
use crate::protocol::{
    CHANNEL_LINES, COUNTERS_FD, Event, INTERNAL_FD, LISTENER_FD, Lines, Plan, SILENT_MAX, Shared,
    UP_LINE_BYTES_MAX, USAGE_FD, VALUES_FD, add_line, to_line,
};

/// Orders are written together up to about as much as a pipe holds.
const WRITE_BYTES: usize = 64 * 1024;

/// Our own binary as it was when we started: an upgrade on disk must not mix two versions in one
/// node.
const OURSELVES: &str = "/proc/self/exe";

/// What a worker's place has to tell.
#[derive(Debug)]
pub(super) struct Report {
    /// Which place.
    pub(super) worker: usize,
    /// What happened there.
    pub(super) news: News,
}

/// What can happen to a worker.
#[derive(Debug)]
pub(super) enum News {
    /// It said something.
    Said(Event),
    /// It is gone.
    Ended(Ended),
}

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// As it was told to.
    Done,
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Our own task for it broke.
    Lost(String),
}

/// A worker that was started.
#[derive(Debug)]
pub(super) struct Handle {
    task: JoinHandle<()>,
    /// The process, when it is one.
    pub(super) pid: Option<u32>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts a worker as a child process, which obeys what is in `mail`.
///
/// # Errors
///
/// The system gave no process; try again later.
pub(super) fn start_process(
    plan: &Plan,
    shared: Shared,
    mail: Mailbox,
    reports: mpsc::Sender<Report>,
) -> io::Result<Handle> {
    let mut command = ourselves("worker");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    // Ctrl-C goes to a terminal's whole group: only the supervisor shall hear it, workers are told.
    command.process_group(0);
    let sockets = 2 + usize::from(shared.internal.is_some());
    command.env("LISTEN_FDS", sockets.to_string());
    command
        .as_std_mut()
        .fd_mappings(descriptors(shared))
        .expect("numbers that differ do not collide");
    let child = command.spawn()?;
    let pid = child.id();
    let worker = plan.worker;
    let first = to_line(plan);
    let task = tokio::task::spawn_local(async move {
        let ended = match tend(child, first, &mail, worker, &reports).await {
            Ok(status) => status.into(),
            Err(error) => Ended::Lost(error.to_string()),
        };
        report(&reports, worker, News::Ended(ended)).await;
    });
    Ok(Handle { task, pid })
}

/// Starts a worker in this process.
pub(super) fn start_task(
    plan: Plan,
    (shared, relay): (Shared, Option<Arc<Relay>>),
    mail: Mailbox,
    reports: mpsc::Sender<Report>,
) -> Handle {
    let (orders, orders_down) = mpsc::channel(CHANNEL_LINES);
    let (events, mut events_up) = mpsc::channel(CHANNEL_LINES);
    let worker = plan.worker;
    let task = tokio::task::spawn_local(async move {
        let serve = crate::worker::serve(plan, shared, relay, orders_down, events);
        let mut serve = tokio::task::spawn_local(serve);
        let carry_up = async {
            while let Some(event) = events_up.recv().await {
                report(&reports, worker, News::Said(event)).await;
            }
        };
        let carry_down = async {
            // Who does not listen any more is about to end.
            while orders.send(mail.next().await).await.is_ok() {}
            pending().await
        };
        let ended = tokio::select! {
            ((), ended) = async { tokio::join!(carry_up, &mut serve) } => ended,
            () = carry_down => unreachable!("orders are carried for ever"),
        };
        let ended = match ended {
            Ok(()) => Ended::Done,
            Err(panic) => Ended::Lost(panic.to_string()),
        };
        report(&reports, worker, News::Ended(ended)).await;
    });
    Handle { task, pid: None }
}

/// What the child finds open besides the standard three.
fn descriptors(shared: Shared) -> Vec<FdMapping> {
    let Shared {
        listener,
        values,
        internal,
        counters,
        usage,
    } = shared;
    let map = |parent_fd: OwnedFd, child_fd| FdMapping {
        parent_fd,
        child_fd,
    };
    let mut all = vec![
        map(listener.into(), LISTENER_FD),
        map(counters.into(), COUNTERS_FD),
        map(usage.into(), USAGE_FD),
    ];
    all.extend(values.map(|values| map(values.into(), VALUES_FD)));
    all.extend(internal.map(|internal| map(internal.into(), INTERNAL_FD)));
    all
}

/// Our own binary with a hidden subcommand, and of our environment only what is harmless.
pub(super) fn ourselves(subcommand: &str) -> Command {
    let mut command = Command::new(OURSELVES);
    command.arg0("midge").arg(subcommand).kill_on_drop(true);
    command.env_clear().envs(config::inherited_environment());
    command
}

/// Writes orders and reads events until the child is gone.
async fn tend(
    mut child: Child,
    plan: Vec<u8>,
    mail: &Mailbox,
    worker: usize,
    reports: &mpsc::Sender<Report>,
) -> io::Result<ExitStatus> {
    let down = child.stdin.take().expect("stdin is piped");
    let up = child.stdout.take().expect("stdout is piped");
    let over = tokio::select! {
        over = carry_down(down, plan, mail) => over,
        over = carry_up(up, worker, reports) => over,
    };
    match over {
        Over::Closed => {}
        Over::Silent => {
            tracing::warn!(worker, silent = ?SILENT_MAX, "worker is stuck, ending it");
            child.start_kill()?;
        }
        Over::Deaf => {
            tracing::warn!(worker, deaf = ?SILENT_MAX, "worker takes no orders, ending it");
            child.start_kill()?;
        }
        Over::Nonsense(error) => {
            // A worker that breaks the agreement is no longer to be trusted.
            tracing::warn!(worker, %error, "worker speaks nonsense");
            child.start_kill()?;
        }
    }
    child.wait().await
}

/// Why a conversation with a worker is over.
enum Over {
    /// It has closed its end: it is about to exit.
    Closed,
    /// It says nothing any more.
    Silent,
    /// It reads nothing any more.
    Deaf,
    /// It says what no worker says.
    Nonsense(io::Error),
}

/// Writes the plan and then orders, for as long as the child takes them.
async fn carry_down(mut down: ChildStdin, plan: Vec<u8>, mail: &Mailbox) -> Over {
    let mut lines = plan;
    loop {
        match timeout(SILENT_MAX, down.write_all(&lines)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                // A child that does not listen is about to end, and its end will be reported.
                tracing::debug!(%error, "worker does not listen");
                pending::<()>().await;
            }
            Err(_) => return Over::Deaf,
        }
        lines.clear();
        add_line(&mut lines, &mail.next().await);
        while lines.len() < WRITE_BYTES
            && let Some(order) = mail.try_next()
        {
            add_line(&mut lines, &order);
        }
    }
}

/// Passes on what the child says, for as long as it speaks.
async fn carry_up(up: ChildStdout, worker: usize, reports: &mpsc::Sender<Report>) -> Over {
    let mut events = Lines::new(up, UP_LINE_BYTES_MAX);
    // Making an engine takes its time: only who has spoken once can fall silent.
    let mut heard: Option<Instant> = None;
    loop {
        let silent = async {
            match heard {
                Some(heard) => sleep_until(heard + SILENT_MAX).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = silent => return Over::Silent,
            event = events.next() => match event {
                Ok(Some(event)) => {
                    heard = Some(Instant::now());
                    if event != Event::Alive {
                        report(reports, worker, News::Said(event)).await;
                    }
                }
                Ok(None) => return Over::Closed,
                Err(error) => return Over::Nonsense(error),
            }
        }
    }
}

async fn report(reports: &mpsc::Sender<Report>, worker: usize, news: News) {
    // Without a receiver the supervisor is ending, and so are we.
    drop(reports.send(Report { worker, news }).await);
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(0), _) => Self::Done,
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Lost(status.to_string()),
        }
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Done => write!(out, "exit code 0"),
            Self::Code(code) => write!(out, "exit code {code}"),
            Self::Signal(number) => write!(out, "{}", signal_name(*number)),
            Self::Lost(why) => write!(out, "{why}"),
        }
    }
}

/// The name of the signals that end processes in practice.
pub(super) fn signal_name(number: i32) -> String {
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        31 => "SIGSYS",
        _ => return format!("signal {number}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::roster::Roster;

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_falls_silent_is_ended() {
        let child = Command::new("sh")
            .args(["-c", r#"echo '"ready"'; exec sleep 600"#])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mail = Roster::new(None, false).join(0);
        let (reports, mut said) = mpsc::channel(4);
        let before = Instant::now();
        let status = tend(child, Vec::new(), &mail, 0, &reports).await;
        assert_eq!(Ended::from(status.unwrap()), Ended::Signal(9));
        assert_eq!(before.elapsed().as_secs(), SILENT_MAX.as_secs());
        let news = said.try_recv().unwrap().news;
        assert!(matches!(news, News::Said(Event::Ready)), "{news:?}");
    }
}
