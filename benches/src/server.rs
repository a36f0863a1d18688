//! A server under test: started as users start it, waited for until it answers, ended with the run.
//!
//! What is started is for `lab.rs`. Its log goes to a file, as it would on a node.
//!
//! **Invariant:** no server outlives the value that stands for it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use crate::ask;
use crate::proc;
use crate::work::Work;

/// Between two looks at a server that does not answer yet.
const LOOK: Duration = Duration::from_millis(20);
/// The slowest start is a JIT of an 18 MB component on a loaded machine.
const START_MAX: Duration = Duration::from_secs(180);
/// Time to end well; who takes longer is killed.
const STOP_MAX: Duration = Duration::from_secs(5);
/// As much of the log as an error shows.
const LOG_SHOWN_BYTES: usize = 600;

/// A running server.
pub struct Server {
    /// Who it is in tables.
    pub subject: String,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    child: Child,
    log: PathBuf,
}

/// A port that nobody has now.
///
/// # Errors
///
/// The machine has none left.
pub fn free_port() -> Result<u16> {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    Ok(probe.local_addr().context("find a free port")?.port())
}

impl Server {
    /// Starts `command`, which was told to listen on `port`, with its output in `logs`.
    ///
    /// # Errors
    ///
    /// The program cannot be started.
    pub fn start(subject: &str, mut command: Command, port: u16, logs: &Path) -> Result<Self> {
        fs::create_dir_all(logs).context("make the folder for logs")?;
        let name: String = subject
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        let log = logs.join(format!("{name}-{port}.log"));
        let file = File::create(&log).context("open the log")?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone().context("open the log")?)
            .stderr(file);
        let child = command
            .spawn()
            .with_context(|| format!("start {}", command.get_program().display()))?;
        Ok(Self {
            subject: subject.to_owned(),
            port,
            child,
            log,
        })
    }

    /// Waits until this work is answered rightly.
    ///
    /// # Errors
    ///
    /// It ended, or does not answer rightly in time.
    pub fn wait_for(&mut self, work: &Work) -> Result<()> {
        let until = Instant::now() + START_MAX;
        loop {
            let last = match ask::check(self.port, work) {
                Ok(()) => return Ok(()),
                Err(err) => err,
            };
            if let Some(status) = self.child.try_wait().context("look at the server")? {
                bail!("{} ended with {status}: {}", self.subject, self.said());
            }
            if Instant::now() > until {
                bail!(
                    "{} does not answer: {last:#}: {}",
                    self.subject,
                    self.said()
                );
            }
            sleep(LOOK);
        }
    }

    /// Waits until it accepts connections, without asking anything.
    ///
    /// # Errors
    ///
    /// It ended, or does not listen in time.
    pub fn wait_for_port(&mut self) -> Result<()> {
        let until = Instant::now() + START_MAX;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            if let Some(status) = self.child.try_wait().context("look at the server")? {
                bail!("{} ended with {status}: {}", self.subject, self.said());
            }
            if Instant::now() > until {
                bail!("{} does not listen: {}", self.subject, self.said());
            }
            sleep(LOOK);
        }
        Ok(())
    }

    /// The process that was started; its children are below it.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Processor time of the whole tree.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn cpu(&self) -> Result<Duration> {
        proc::cpu(self.pid())
    }

    /// Memory of the whole tree.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn memory(&self) -> Result<proc::Memory> {
        proc::memory(self.pid())
    }

    /// The last lines of its log.
    pub fn said(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let from = text.len().saturating_sub(LOG_SHOWN_BYTES);
        let text = String::from_utf8_lossy(&text[from..]);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let until = Instant::now() + STOP_MAX;
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let (Ok(None), Some(pid)) = (self.child.try_wait(), pid) {
            // It is our child and was not waited for, so the number is still its own.
            kill_process(pid, Signal::TERM).ok();
        }
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            sleep(LOOK);
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
