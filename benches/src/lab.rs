//! The lab: where everything is, and how each contestant is started.
//!
//! Midge is started as its users start it: limits on, metrics on, an access line for every request,
//! written to a file as a service manager would. So are the peers, with the log that they write
//! by themselves. No contestant gets a flag that makes it faster, and all get the same component.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::contest::{Generator, Load};
use crate::guests::Guests;
use crate::peers::Peers;
use crate::server::{Server, free_port};

/// Everything that scenarios need.
pub struct Lab {
    /// The repository.
    pub root: PathBuf,
    /// Where our own binaries are.
    pub bin: PathBuf,
    /// The midge that is measured.
    pub midge: PathBuf,
    /// What the bench installs and makes: `target/bench`.
    pub folder: PathBuf,
    /// Files of this run.
    pub scratch: PathBuf,
    /// Who it is compared with.
    pub peers: Peers,
    /// Under 5 minutes in all, or as long as it takes.
    pub quick: bool,
}

impl Lab {
    /// Progress, on stderr: stdout is the table.
    #[expect(
        clippy::print_stderr,
        reason = "the one place that tells a person how far it is"
    )]
    pub fn say(&self, line: &str) {
        let _ = self;
        eprintln!("bench: {line}");
    }

    /// The load of most scenarios: 32 connections.
    pub fn load(&self) -> Load {
        let (rounds, seconds) = if self.quick { (3, 1) } else { (7, 4) };
        Load {
            rounds,
            time: Duration::from_secs(seconds),
            connections: 32,
            generator: Generator::Wrk,
        }
    }

    /// Where servers write what they say.
    pub fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// `midge run PATH` with these words behind it.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn midge_run(&self, subject: &str, path: &Path, words: &[&str]) -> Result<Server> {
        let (mut command, port) = self.midge_run_command(path, words)?;
        command.env_remove("RUST_LOG");
        Server::start(subject, command, port, &self.logs())
    }

    /// The command of [`Self::midge_run`], for those who put something before it.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub fn midge_run_command(&self, path: &Path, words: &[&str]) -> Result<(Command, u16)> {
        let port = free_port()?;
        let mut command = Command::new(&self.midge);
        command.arg("run").arg(path).args(words);
        command.arg("--listen").arg(format!("127.0.0.1:{port}"));
        command.arg("--cache-dir").arg(self.folder.join("cache"));
        Ok((command, port))
    }

    /// The bare server.
    ///
    /// # Errors
    ///
    /// It was not built.
    pub fn floor(&self, words: &[&str]) -> Result<Server> {
        let port = free_port()?;
        let mut command = Command::new(self.ours("midge-bench-floor")?);
        command
            .arg("--listen")
            .arg(format!("127.0.0.1:{port}"))
            .args(words);
        Server::start("hyper", command, port, &self.logs())
    }

    /// The plain embedding of midge's own engine.
    ///
    /// # Errors
    ///
    /// It was not built.
    pub fn plain(&self, subject: &str, component: &Path) -> Result<Server> {
        let port = free_port()?;
        let mut command = Command::new(self.ours("midge-bench-plain")?);
        command
            .arg(component)
            .arg("--listen")
            .arg(format!("127.0.0.1:{port}"));
        Server::start(subject, command, port, &self.logs())
    }

    /// `wasmtime serve`, which keeps compiled code in a cache of its own, as midge does.
    ///
    /// # Errors
    ///
    /// There is no wasmtime.
    pub fn wasmtime(&self, component: &Path, words: &[&str]) -> Result<Server> {
        let port = free_port()?;
        let mut command = Command::new(self.peers.wasmtime.path()?);
        command.env("XDG_CACHE_HOME", self.folder.join("cache-wasmtime"));
        // `-Scli`: guests made for WASI import environment and clocks, which it refuses else.
        command.args(["serve", "-Scli"]).args(words);
        command
            .arg("--addr")
            .arg(format!("127.0.0.1:{port}"))
            .arg(component);
        Server::start("wasmtime serve", command, port, &self.logs())
    }

    /// `workerd serve` of a configuration whose socket is called `http`.
    ///
    /// # Errors
    ///
    /// There is no workerd.
    pub fn workerd(&self, config: &Path) -> Result<Server> {
        let port = free_port()?;
        let mut command = Command::new(self.peers.workerd.path()?);
        command.arg("serve").arg(config);
        command
            .arg("--socket-addr")
            .arg(format!("http=127.0.0.1:{port}"));
        Server::start("workerd", command, port, &self.logs())
    }

    /// `spin up` of a component that answers everywhere.
    ///
    /// # Errors
    ///
    /// There is no Spin.
    pub fn spin(&self, component: &Path) -> Result<Server> {
        let spin = self.peers.spin.path()?;
        let name = component.file_stem().context("a component has a name")?;
        let folder = self.scratch.join("spin").join(name);
        fs::create_dir_all(&folder).context("make the folder of Spin")?;
        let source = component
            .to_str()
            .context("the component's path is not UTF-8")?;
        let manifest = format!(
            "spin_manifest_version = 2\n\n[application]\nname = \"bench\"\nversion = \"1.0.0\"\n\n\
             [[trigger.http]]\nroute = \"/...\"\ncomponent = \"bench\"\n\n\
             [component.bench]\nsource = {source:?}\n"
        );
        let file = folder.join("spin.toml");
        fs::write(&file, manifest).context("write Spin's manifest")?;
        let port = free_port()?;
        let mut command = Command::new(spin);
        command.args(["up", "--from"]).arg(&file);
        command.arg("--listen").arg(format!("127.0.0.1:{port}"));
        Server::start("spin", command, port, &self.logs())
    }

    /// One of our own binaries, built beside the harness.
    ///
    /// # Errors
    ///
    /// It is not there.
    pub fn ours(&self, name: &str) -> Result<PathBuf> {
        let path = self.bin.join(name);
        ensure!(path.exists(), "{name} is not built");
        Ok(path)
    }

    /// A guest by its name: committed, or made when it is first asked for.
    ///
    /// # Errors
    ///
    /// It cannot be made here.
    pub fn guest(&self, name: &str) -> Result<PathBuf> {
        let say = |line: &str| self.say(line);
        let guests = Guests {
            root: &self.root,
            folder: &self.folder,
            say: &say,
        };
        guests.get(name)
    }

    /// Writes a manifest of midge's for this scenario.
    ///
    /// # Errors
    ///
    /// The disk is full or not ours.
    pub fn manifest(&self, scenario: &str, text: &str) -> Result<PathBuf> {
        let folder = self.scratch.join("manifests").join(scenario);
        fs::create_dir_all(&folder).context("make the folder of a manifest")?;
        let file = folder.join("midge.toml");
        fs::write(&file, text).context("write a manifest")?;
        Ok(file)
    }
}

/// The text of a path in a manifest.
pub fn quoted(path: &Path) -> String {
    format!("{:?}", OsString::from(path).to_string_lossy())
}
