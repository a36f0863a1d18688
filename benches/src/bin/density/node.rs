//! The node under test: `midge serve`, its token, and what it holds.
//!
//! Memory is read from `/proc` for the supervisor and every worker. What counts for a function that
//! is not loaded is anonymous memory: pages of the program's own file are the same ones however many
//! functions there are, and come and go with what was last executed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use midge_api::{Client, ClientConfig};
use midge_bench::proc;
use midge_bench::server::{Server, free_port};
use tokio::time::Instant;

/// The longest start, with ten thousand functions.
const START_MAX: Duration = Duration::from_secs(60);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Workers say once a second what they have loaded.
const SAID_WITHIN: Duration = Duration::from_millis(1_500);

/// A running node.
pub(crate) struct Node {
    server: Server,
    control: u16,
    store: PathBuf,
    runtime: tokio::runtime::Runtime,
}

/// What a node holds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Holds {
    /// Private memory of all its processes.
    pub(crate) anonymous: u64,
    /// The same with its share of the pages of files.
    pub(crate) pss: u64,
    /// Mappings of the process that has most.
    pub(crate) mappings_max: usize,
}

/// What a node says of itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    /// Loaded revisions, over all workers.
    pub(crate) loaded: u64,
    /// Revisions that were unloaded, over all workers.
    pub(crate) evicted: u64,
}

/// Where a node with this store has its native code.
pub(crate) fn cache_in(store: &Path) -> PathBuf {
    store.join("cache")
}

impl Node {
    /// Starts a node with this store, and waits until it is ready.
    pub(crate) fn start(midge: &Path, store: &Path, flags: &[String]) -> Result<Self> {
        let (port, control) = (free_port()?, free_port()?);
        let mut command = Command::new(midge);
        command
            .arg("serve")
            .arg("--store")
            .arg(store)
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(["--control", &format!("127.0.0.1:{control}")])
            .args(flags);
        let server = Server::start("density", command, port, &store.join("logs"))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("start a runtime")?;
        let node = Self {
            server,
            control,
            store: store.to_owned(),
            runtime,
        };
        node.wait_until_ready()?;
        Ok(node)
    }

    fn wait_until_ready(&self) -> Result<()> {
        let until = Instant::now() + START_MAX;
        while Instant::now() < until {
            if let Ok(client) = self.client()
                && let Ok(status) = self.block_on(async { Ok(client.node_status().await?) })
                && status.ready
            {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
        bail!("the node did not get ready: {}", self.server.said())
    }

    /// Ends it, and waits for that.
    pub(crate) fn stop(self) -> Result<()> {
        let pids = proc::tree(self.server.pid());
        drop(self.server);
        let until = Instant::now() + START_MAX;
        while pids
            .iter()
            .any(|pid| Path::new(&format!("/proc/{pid}/maps")).exists())
        {
            if Instant::now() > until {
                bail!("the node does not end");
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Where functions answer.
    pub(crate) fn port(&self) -> u16 {
        self.server.port
    }

    /// Where native code is.
    pub(crate) fn cache(&self) -> PathBuf {
        cache_in(&self.store)
    }

    /// A client for the control door.
    pub(crate) fn client(&self) -> Result<Client> {
        let token = fs::read_to_string(self.store.join("admin.token")).context("read the token")?;
        let client = Client::new(ClientConfig {
            url: format!("http://127.0.0.1:{}", self.control),
            token: Some(token.trim().to_owned()),
            timeout: START_MAX,
            ca_pem: None,
        });
        client.context("make a client")
    }

    /// Runs what is asynchronous.
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.runtime.block_on(work)
    }

    /// What it holds now.
    pub(crate) fn holds(&self) -> Result<Holds> {
        let mut holds = Holds {
            pss: self.server.memory()?.pss,
            ..Holds::default()
        };
        for pid in proc::tree(self.server.pid()) {
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"));
            let rollup = rollup.with_context(|| format!("read the memory of {pid}"))?;
            let line = rollup
                .lines()
                .find_map(|line| line.strip_prefix("Anonymous:"));
            let kib = line.and_then(|line| line.trim().strip_suffix("kB"));
            let kib: u64 = kib
                .and_then(|kib| kib.trim().parse().ok())
                .context("read memory")?;
            holds.anonymous += kib * 1024;
            let maps = fs::read_to_string(format!("/proc/{pid}/maps")).context("read mappings")?;
            holds.mappings_max = holds.mappings_max.max(maps.lines().count());
        }
        Ok(holds)
    }

    /// What it says it has loaded.
    pub(crate) fn counts(&self) -> Result<Counts> {
        std::thread::sleep(SAID_WITHIN);
        let client = self.client()?;
        let status = self.block_on(async { Ok(client.node_status().await?) })?;
        let mut counts = Counts::default();
        for worker in status.workers {
            counts.loaded += u64::from(worker.loaded);
            counts.evicted += worker.evicted;
        }
        Ok(counts)
    }
}
