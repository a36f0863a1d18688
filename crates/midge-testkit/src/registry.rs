//! A registry for OCI artifacts, started for one test and ended with it.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use midge_toolchain::Toolchains;
use tempfile::TempDir;

use crate::process;
use crate::wait::wait_until;

/// `someone` with the password `hunter2`, as htpasswd has it.
const USERS: &str = "someone:$2b$04$fqnpVXSjZipFA.QqWHiTAOn8PSqX/87WQ5hpKUrqJamq7sTKMHBPm\n";

/// A running registry. Killed when dropped.
pub struct Registry {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Registry {
    /// One that anybody may push to.
    ///
    /// # Errors
    ///
    /// Its program cannot be had on this machine.
    ///
    /// # Panics
    ///
    /// It does not start.
    pub fn start() -> anyhow::Result<Self> {
        Self::with("")
    }

    /// One for `someone` with the password `hunter2`, and nobody else.
    ///
    /// # Errors
    ///
    /// Its program cannot be had on this machine.
    ///
    /// # Panics
    ///
    /// It does not start.
    pub fn for_someone() -> anyhow::Result<Self> {
        Self::with("auth: {htpasswd: {realm: r, path: FOLDER/users}}\n")
    }

    fn with(auth: &str) -> anyhow::Result<Self> {
        let program = Toolchains::shared().registry()?;
        let folder = tempfile::tempdir().expect("make a folder");
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nhttp: {{addr: \"127.0.0.1:0\"}}\n\
             storage: {{filesystem: {{rootdirectory: FOLDER/storage}}}}\n{auth}"
        );
        let config = config.replace("FOLDER", &folder.path().to_string_lossy());
        let path = folder.path().join("config.yml");
        fs::write(&path, config).expect("write the registry's config");
        fs::write(folder.path().join("users"), USERS).expect("write the registry's users");
        let mut command = Command::new(program);
        command.arg("serve").arg(path).env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(Stdio::null()).spawn();
        let mut registry = Self {
            child: child.expect("start the registry"),
            port: 0,
            folder,
        };
        wait_until("the registry listens", || {
            let ports = process::listening_ports(registry.child.id());
            registry.port = ports.first().copied().unwrap_or_default();
            registry.port != 0
        });
        Ok(registry)
    }

    /// Its host and port.
    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where it keeps what was pushed.
    pub fn storage(&self) -> std::path::PathBuf {
        self.folder.path().join("storage")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A folder of Docker's with a login for a registry, as `docker login` leaves it.
///
/// # Panics
///
/// The folder cannot be written.
pub fn docker_login(folder: &Path, registry: &str) {
    // `someone:hunter2` in base64.
    let config = format!(r#"{{"auths": {{"{registry}": {{"auth": "c29tZW9uZTpodW50ZXIy"}}}}}}"#);
    fs::write(folder.join("config.json"), config).expect("write Docker's config");
}
