//! A running `midge run` or `midge serve`, started for one test and ended with it.
//!
//! Decides how a test's server is started and how a test knows that it serves; what
//! is looked up about its processes is `process.rs`.
//!
//! **Invariant:** nothing that was started here outlives the value that stands for it.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::process;
use crate::wait::{wait_at_most, wait_until};

/// How long a server may take until it listens; compiling on a busy machine included.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a server may take to end after it was told to.
const END_TIMEOUT: Duration = Duration::from_secs(60);

/// The flags and environment of a server to start.
pub struct MidgeBuilder {
    command: Command,
    /// `None` for a node, which has one in its store.
    cache_dir: Option<PathBuf>,
}

/// A running server. Killed when dropped, if it still runs.
pub struct Midge {
    child: Child,
    addr: SocketAddr,
    said: Arc<Mutex<String>>,
}

impl MidgeBuilder {
    /// `midge run TARGET` on a port of its own, with the tests' cache of native code.
    pub fn run(binary: &str, target: &Path) -> Self {
        let mut command = bare(binary);
        command.arg("run").arg(target);
        command.args(["--listen", "127.0.0.1:0"]);
        Self {
            command,
            cache_dir: Some(super::native_code_cache()),
        }
    }

    /// `midge dev TARGET` on a port of its own, with the tests' cache of native code and a PATH.
    pub fn dev(binary: &str, target: &Path) -> Self {
        let mut command = bare(binary);
        command.arg("dev").arg(target);
        command.args(["--listen", "127.0.0.1:0"]);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        Self {
            command,
            cache_dir: Some(super::native_code_cache()),
        }
    }

    /// `midge serve` with this store, both doors on ports of their own.
    pub fn serve(binary: &str, store: &Path) -> Self {
        Self::serve_at(binary, store, ["127.0.0.1:0", "127.0.0.1:0"])
    }

    /// `midge serve` with this store, functions and control at these addresses.
    pub fn serve_at(binary: &str, store: &Path, [listen, control]: [&str; 2]) -> Self {
        let mut command = bare(binary);
        command.arg("serve").arg("--store").arg(store);
        command.args(["--listen", listen, "--control", control]);
        Self {
            command,
            cache_dir: None,
        }
    }

    /// More flags.
    #[must_use]
    pub fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.command.args(args);
        self
    }

    /// A variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// The folder it is typed in.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// A file for its data.
    ///
    /// # Panics
    ///
    /// The file cannot be made.
    #[must_use]
    pub fn stdout_into(mut self, file: &Path) -> Self {
        let file = std::fs::File::create(file).expect("make a file for stdout");
        self.command.stdout(file);
        self
    }

    /// Another folder for native code than the tests' own.
    #[must_use]
    pub fn cache_dir(mut self, folder: &Path) -> Self {
        self.cache_dir = Some(folder.to_owned());
        self
    }

    /// Starts it and waits until it says that it listens.
    ///
    /// # Panics
    ///
    /// It did not get there; the panic shows what it said.
    pub fn start(self) -> Midge {
        self.start_and(|midge| address_in(&midge.said()))
    }

    /// Starts it and waits until its port is open, for one that says nothing.
    ///
    /// # Panics
    ///
    /// It did not get there.
    pub fn start_unheard(self) -> Midge {
        self.start_and(|midge| {
            let port = *process::listening_ports(midge.pid()).first()?;
            Some((Ipv4Addr::LOCALHOST, port).into())
        })
    }

    fn start_and(mut self, listens_at: impl Fn(&Midge) -> Option<SocketAddr>) -> Midge {
        if let Some(cache_dir) = &self.cache_dir {
            self.command.arg("--cache-dir").arg(cache_dir);
        }
        let mut child = self.command.spawn().expect("start midge");
        let stderr = child.stderr.take().expect("stderr is piped");
        let said = Arc::new(Mutex::new(String::new()));
        let copy = Arc::clone(&said);
        std::thread::spawn(move || listen_to(stderr, &copy));
        let mut midge = Midge {
            child,
            addr: (Ipv4Addr::LOCALHOST, 0).into(),
            said,
        };
        let mut found = None;
        wait_at_most(START_TIMEOUT, "midge listens", || {
            found = listens_at(&midge);
            let ended = found.is_none() && !process::is_alive(midge.pid());
            assert!(!ended, "midge did not start:\n{}", midge.said());
            found.is_some()
        });
        midge.addr = found.expect("just seen");
        midge
    }
}

impl Midge {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where the control door of a node is.
    ///
    /// # Panics
    ///
    /// It is no node, or said nothing about a control door.
    pub fn control(&self) -> String {
        let said = self.said();
        // A warning speaks of the door, too.
        let names_it = |line: &&str| line.contains("control door") && line.contains("http");
        let line = said.lines().find(names_it);
        let line = line.unwrap_or_else(|| panic!("no control door:\n{said}"));
        let start = line.find("http").expect("a URL behind the words");
        let url = &line[start..];
        let end = url.find(['"', ' ']).unwrap_or(url.len());
        url[..end].to_owned()
    }

    /// The supervisor's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The process ids of its children that still run.
    pub fn workers(&self) -> Vec<u32> {
        process::children(self.pid())
    }

    /// The process ids that take traffic: its workers, or itself where it has none.
    pub fn serving(&self) -> Vec<u32> {
        let workers = self.workers();
        if workers.is_empty() {
            vec![self.pid()]
        } else {
            workers
        }
    }

    /// Everything it has said on stderr so far.
    pub fn said(&self) -> String {
        self.said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
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

    /// Sends the supervisor a signal by name, for example `TERM`.
    ///
    /// # Panics
    ///
    /// There is no `kill`, or no such process.
    pub fn signal(&self, signal: &str) {
        process::signal(self.pid(), signal);
    }

    /// Waits for it to end by itself.
    ///
    /// # Panics
    ///
    /// It did not end in time.
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        let mut status = None;
        wait_at_most(END_TIMEOUT, "midge ends", || {
            status = self.child.try_wait().expect("wait for midge");
            status.is_some()
        });
        status.expect("just seen")
    }
}

impl Drop for Midge {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Workers would finish their requests first, and the next test wants the machine.
            let workers = self.workers();
            drop(self.child.kill());
            drop(self.child.wait());
            for worker in workers {
                process::try_signal(worker, "KILL");
            }
        }
    }
}

/// A command of this binary, without what may be set where tests run.
fn bare(binary: &str) -> Command {
    let mut command = Command::new(binary);
    command
        .env_remove("MIDGE_LOG")
        .env_remove("MIDGE_SECRET_KEY")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// The address in `listening on http://ADDR`, or in the same said as JSON.
fn address_in(said: &str) -> Option<SocketAddr> {
    let line = said.lines().find(|line| line.contains("listening"))?;
    let (_, rest) = line.split_once("://")?;
    let end = rest.find('"').unwrap_or(rest.len());
    rest[..end].trim_end().parse().ok()
}

/// Keeps what the server says, whole lines only.
fn listen_to(stderr: impl Read, said: &Mutex<String>) {
    let mut lines = BufReader::new(stderr);
    let mut line = Vec::new();
    while matches!(lines.read_until(b'\n', &mut line), Ok(1..)) {
        said.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_str(&String::from_utf8_lossy(&line));
        line.clear();
    }
}
