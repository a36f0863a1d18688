//! Running one section of `cargo xtask test`: its heading, its commands, its seconds.
//!
//! Commands inherit the terminal, so that a person sees what the tool says as it says it. Where the
//! result has to be counted, one stream is read on its way through.
//!
//! **Invariant:** a command that does not exit with 0 is an error that names the command.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// More result lines than this are not ours: a test is printing them.
const LINES_KEPT_MAX: usize = 1000;
/// A command whose answer is optional may not hold up the run.
const QUIET_SECONDS_MAX: &str = "60";

/// Runs the sections and remembers their times.
pub(super) struct Runner {
    root: PathBuf,
    /// Where everything is built.
    pub(super) target: PathBuf,
    /// Where tools are installed that the machine lacks.
    pub(super) tools: PathBuf,
    /// The caller's, with `tools` behind it: what the machine has comes first.
    search_path: OsString,
    times: Vec<(&'static str, Duration)>,
}

/// Where a command writes its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// What a watched command said, and how it ended.
pub(super) struct Told {
    pub(super) lines: Vec<String>,
    pub(super) result: Result<()>,
}

impl Runner {
    /// A runner for the repository at `root`.
    pub(super) fn new(root: &Path) -> Result<Self> {
        let target = std::env::var_os("CARGO_TARGET_DIR");
        let target = target.map_or_else(|| root.join("target"), PathBuf::from);
        let target = root.join(target);
        let tools = target.join("tools");
        let callers = std::env::var_os("PATH").unwrap_or_default();
        let ours = [tools.join("pip/bin"), tools.join("cargo/bin")];
        let search_path = std::env::join_paths(std::env::split_paths(&callers).chain(ours))
            .context("a folder in PATH or the target folder has a `:` in its name")?;
        Ok(Self {
            root: root.to_path_buf(),
            target,
            tools,
            search_path,
            times: Vec::new(),
        })
    }

    /// Runs `work` under a heading and remembers how long it took.
    pub(super) fn section(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<()> {
        println!("\n== {name}");
        let start = now();
        let result = work(self);
        let took = start.elapsed();
        self.times.push((name, took));
        println!("-- {name}: {:.1} s", took.as_secs_f64());
        result.context(name)
    }

    /// The seconds of each section, a line each, and their sum.
    pub(super) fn report(&self) -> String {
        let total: Duration = self.times.iter().map(|(_, took)| *took).sum();
        let mut report = String::new();
        for (name, took) in self.times.iter().chain([&("total", total)]) {
            writeln!(report, "{:>8.1} s  {name}", took.as_secs_f64())
                .expect("writing to a String cannot fail");
        }
        report
    }

    /// Runs `cargo` with these words.
    pub(super) fn cargo(&self, words: &str) -> Result<()> {
        self.cargo_with(words, &[])
    }

    /// The same, with these in its environment.
    pub(super) fn cargo_with(&self, words: &str, env: &[(&str, &str)]) -> Result<()> {
        let mut command = self.command("cargo");
        command
            .args(words.split_whitespace())
            .envs(env.iter().copied());
        run(&mut command)
    }

    /// Runs `cargo` with these words and keeps the lines that start with `marker`.
    pub(super) fn watch(&self, words: &str, stream: Stream, marker: &str) -> Result<Told> {
        let mut command = self.command("cargo");
        command.args(words.split_whitespace());
        announce(&command);
        match stream {
            Stream::Stdout => command.stdout(Stdio::piped()),
            Stream::Stderr => command.stderr(Stdio::piped()),
        };
        let mut child = command
            .spawn()
            .with_context(|| format!("start `cargo {words}`"))?;
        let lines = match (child.stdout.take(), child.stderr.take()) {
            (Some(stdout), _) => pass_on(stdout, std::io::stdout(), marker),
            (_, Some(stderr)) => pass_on(stderr, std::io::stderr(), marker),
            (None, None) => unreachable!("one of the two was asked for above"),
        };
        let status = child
            .wait()
            .with_context(|| format!("wait for `cargo {words}`"))?;
        Ok(Told {
            lines: lines.context("read its output")?,
            result: judge(&command, status),
        })
    }

    /// Runs `cargo` with these words in silence and for a bounded time.
    ///
    /// # Errors
    ///
    /// What the command said last.
    pub(super) fn quiet(&self, words: &str) -> Result<()> {
        let mut command = self.command("timeout");
        command
            .arg(QUIET_SECONDS_MAX)
            .arg("cargo")
            .args(words.split_whitespace());
        let output = command
            .output()
            .with_context(|| format!("start `cargo {words}`"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        match said.lines().rev().find(|line| !line.trim().is_empty()) {
            Some(last) => bail!("{last}"),
            None => bail!("`cargo {words}` ended with {}", output.status),
        }
    }

    /// A command in the repository's root that finds the tools.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.root)
            .env("PATH", &self.search_path)
            .stdin(Stdio::null());
        // `cargo run` describes xtask to us in these. Build scripts that watch them would run again
        // each time the suite is started in another way.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                command.env_remove(name);
            }
        }
        command
    }
}

/// Shows the command and runs it to its end.
pub(super) fn run(command: &mut Command) -> Result<()> {
    announce(command);
    let status = command
        .status()
        .with_context(|| format!("start `{}`", shown(command)))?;
    judge(command, status)
}

fn announce(command: &Command) {
    println!("$ {}", shown(command));
}

fn judge(command: &Command, status: ExitStatus) -> Result<()> {
    anyhow::ensure!(status.success(), "`{}` ended with {status}", shown(command));
    Ok(())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Copies everything to `to` and keeps the lines that start with `marker`.
fn pass_on(from: impl Read, mut to: impl Write, marker: &str) -> Result<Vec<String>> {
    let mut from = BufReader::new(from);
    let mut kept = Vec::new();
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        to.write_all(&line)?;
        let text = String::from_utf8_lossy(&line);
        if text.trim_start().starts_with(marker) && kept.len() < LINES_KEPT_MAX {
            kept.push(text.trim().to_owned());
        }
        line.clear();
    }
    Ok(kept)
}

#[expect(
    clippy::disallowed_methods,
    reason = "no paused time here: these seconds are for people"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::pass_on;

    #[test]
    fn everything_passes_and_marked_lines_are_kept() {
        let said = "one\n   Summary [ 1s] x\nno Summary [\nSummary [ 2s] y";
        let mut shown = Vec::new();
        let kept = pass_on(said.as_bytes(), &mut shown, "Summary [").unwrap();
        assert_eq!(String::from_utf8(shown).unwrap(), said);
        assert_eq!(kept, ["Summary [ 1s] x", "Summary [ 2s] y"]);
    }
}
