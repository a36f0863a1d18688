//! A running `midge run`, started for one test and ended with it.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// How long a server may take until it listens; compiling on a busy machine included.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a server may take to end after it was told to.
const END_TIMEOUT: Duration = Duration::from_secs(60);

/// The flags and environment of a server to start.
pub struct MidgeBuilder {
    command: Command,
}

/// A running server. Killed when dropped, if it still runs.
pub struct Midge {
    child: Child,
    addr: SocketAddr,
    scheme: String,
    said: Arc<Mutex<String>>,
}

impl MidgeBuilder {
    /// `midge run TARGET` on a port of its own, with the tests' cache of native code.
    pub fn run(binary: &str, target: &Path) -> Self {
        let mut command = Command::new(binary);
        command
            .arg("run")
            .arg(target)
            .args(["--listen", "127.0.0.1:0"])
            .arg("--cache-dir")
            .arg(super::native_code_cache())
            .env_remove("MIDGE_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        Self { command }
    }

    /// More flags.
    #[must_use]
    pub fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.command.args(args);
        self
    }

    /// Starts it and waits until it listens.
    ///
    /// # Panics
    ///
    /// It did not get there; the panic shows what it said.
    pub fn start(mut self) -> Midge {
        let mut child = self.command.spawn().expect("start midge");
        let stderr = child.stderr.take().expect("stderr is piped");
        let said = Arc::new(Mutex::new(String::new()));
        let (listening, heard) = mpsc::sync_channel(1);
        let copy = Arc::clone(&said);
        std::thread::spawn(move || listen_to(stderr, &copy, &listening));
        match heard.recv_timeout(START_TIMEOUT) {
            Ok((scheme, addr)) => Midge {
                child,
                addr,
                scheme,
                said,
            },
            Err(_) => {
                drop(child.kill());
                drop(child.wait());
                panic!(
                    "midge did not start:\n{}",
                    said.lock().expect("no panic holds it")
                );
            }
        }
    }
}

impl Midge {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:PORT` and `path` behind it.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.addr)
    }

    /// The supervisor's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The process ids of its children that still run.
    pub fn workers(&self) -> Vec<u32> {
        children_of(self.pid())
    }

    /// Everything it has said on stderr so far.
    ///
    /// # Panics
    ///
    /// Never: the lock is held for a copy only.
    pub fn said(&self) -> String {
        self.said.lock().expect("no panic holds it").clone()
    }

    /// Waits until it has said `words`.
    ///
    /// # Panics
    ///
    /// It did not within a generous time.
    pub fn wait_until_said(&self, words: &str) {
        wait_until(&format!("midge says `{words}`"), || {
            self.said().contains(words)
        });
    }

    /// Sends a signal by name, for example `TERM`.
    ///
    /// # Panics
    ///
    /// There is no `kill`, or no such process.
    pub fn signal(&self, signal: &str) {
        signal_pid(self.pid(), signal);
    }

    /// Waits for it to end by itself.
    ///
    /// # Panics
    ///
    /// It did not end in time.
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        let mut status = None;
        let deadline = END_TIMEOUT;
        wait_until_for("midge ends", deadline, || {
            status = self.child.try_wait().expect("wait for midge");
            status.is_some()
        });
        status.expect("just seen")
    }
}

impl Drop for Midge {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Workers end by themselves when their supervisor's pipe closes.
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// Sends `signal` to one process.
///
/// # Panics
///
/// There is no `kill`, or no such process.
pub fn signal_pid(pid: u32, signal: &str) {
    let status = Command::new("kill")
        .args([format!("-{signal}"), pid.to_string()])
        .status()
        .expect("run kill");
    assert!(status.success(), "kill -{signal} {pid} failed");
}

/// Waits for a state, looking again every few milliseconds.
///
/// # Panics
///
/// The state did not come about within a generous time.
pub fn wait_until(what: &str, state: impl FnMut() -> bool) {
    wait_until_for(what, Duration::from_secs(30), state);
}

fn wait_until_for(what: &str, at_most: Duration, mut state: impl FnMut() -> bool) {
    const LOOK_AGAIN: Duration = Duration::from_millis(2);
    let mut waited = Duration::ZERO;
    while !state() {
        assert!(waited < at_most, "waited {at_most:?} in vain until {what}");
        std::thread::sleep(LOOK_AGAIN);
        waited += LOOK_AGAIN;
    }
}

/// The children of `pid`, from `/proc`.
fn children_of(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect()
}

/// Keeps what the server says, and tells once where it listens.
fn listen_to(
    stderr: impl Read,
    said: &Mutex<String>,
    listening: &mpsc::SyncSender<(String, SocketAddr)>,
) {
    let mut lines = BufReader::new(stderr);
    let mut line = Vec::new();
    while matches!(lines.read_until(b'\n', &mut line), Ok(1..)) {
        let text = String::from_utf8_lossy(&line).into_owned();
        if let Some((_, url)) = text.trim().split_once("listening on ")
            && let Some((scheme, addr)) = url.split_once("://")
            && let Ok(addr) = addr.trim_end_matches('/').parse()
        {
            drop(listening.try_send((scheme.to_owned(), addr)));
        }
        said.lock().expect("no panic holds it").push_str(&text);
        line.clear();
    }
}
