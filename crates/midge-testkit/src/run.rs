//! A command that is run from start to end, and everything it left behind.

use std::io::{Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::wait::wait_at_most;

/// How long a run may take; compiling on a busy machine included.
const RUN_TIMEOUT: Duration = Duration::from_secs(60);

/// A run to prepare.
pub struct Run {
    command: Command,
    stdin: Vec<u8>,
}

impl Run {
    /// Of this binary with these arguments, in a bare environment.
    pub fn of<'a>(binary: &str, args: impl IntoIterator<Item = &'a str>) -> Self {
        let mut command = Command::new(binary);
        command
            .args(args)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self {
            command,
            stdin: Vec::new(),
        }
    }

    /// In this folder.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// With this variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// With these bytes on stdin.
    #[must_use]
    pub fn stdin(mut self, bytes: &[u8]) -> Self {
        self.command.stdin(Stdio::piped());
        self.stdin = bytes.to_vec();
        self
    }

    /// Exit code, stdout and stderr, as one text to compare with a snapshot.
    ///
    /// # Panics
    ///
    /// It does not start, or does not end in time.
    pub fn to_end(mut self) -> String {
        let mut child = self.command.spawn().expect("start the command");
        if let Some(mut stdin) = child.stdin.take() {
            let bytes = std::mem::take(&mut self.stdin);
            // A command may end without reading all of it.
            std::thread::spawn(move || drop(stdin.write_all(&bytes)));
        }
        let stdout = child.stdout.take().map(read_aside);
        let stderr = child.stderr.take().map(read_aside);
        let mut child = KillOnDrop(child);
        let mut status = None;
        wait_at_most(RUN_TIMEOUT, "the command ends", || {
            status = child.0.try_wait().expect("wait for the command");
            status.is_some()
        });
        let code = status.and_then(|status| status.code());
        let code = code.map_or("by a signal".to_owned(), |code| code.to_string());
        let text = |reader: Option<std::thread::JoinHandle<String>>| {
            reader.map_or(String::new(), |reader| {
                reader.join().expect("the reader does not panic")
            })
        };
        format!(
            "exit: {code}\n--- stdout\n{}--- stderr\n{}",
            text(stdout),
            text(stderr)
        )
    }
}

/// A run that hangs must not outlive its test.
struct KillOnDrop(Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Reads while the command runs: a full pipe would hold it up.
fn read_aside(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before a failure is still what it said.
        drop(pipe.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
