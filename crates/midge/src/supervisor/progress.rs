//! What a person sees while components compile.
//!
//! A spinner per component on a terminal, plain lines elsewhere, nothing for
//! what takes no time. How long compiling may take is `compilers.rs`.
//!
//! **Invariant:** nothing of a spinner is left on the screen once it is done.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use midge_model::quantity::format_bytes;
use tokio::time::Instant;

use crate::log::{Format, LogConfig};
use crate::say;

/// Work shorter than this is not worth a word.
pub(crate) const SHOWN_AFTER: Duration = Duration::from_millis(300);

/// How often a spinner moves.
const TICK: Duration = Duration::from_millis(100);

/// Where progress is shown.
#[derive(Debug, Clone)]
pub(crate) enum Progress {
    /// As spinners, on a terminal.
    Spinners(MultiProgress),
    /// As lines.
    Lines,
    /// In the log, where lines of words would be in the way.
    Logged,
}

/// One component that is being compiled and shown.
#[derive(Debug)]
pub(super) struct Step {
    label: String,
    on: Progress,
    spinner: Option<ProgressBar>,
}

impl Progress {
    /// As suits the place where words go to.
    pub(crate) fn new(log: &LogConfig) -> Self {
        if log.quiet || log.format == Format::Json {
            Self::Logged
        } else if say::is_terminal() {
            Self::Spinners(MultiProgress::new())
        } else {
            Self::Lines
        }
    }

    /// Shows that a component has been compiling since `started`.
    pub(super) fn show(&self, label: &str, size_bytes: u64, started: Instant) -> Step {
        let size = format_bytes(size_bytes);
        let text = format!("compiling {label} ({size})");
        let spinner = match self {
            Self::Logged => {
                tracing::info!(component = label, size, "compiling");
                None
            }
            Self::Lines => {
                say::line(&text);
                None
            }
            Self::Spinners(all) => Some(all.add(spinner(text, started))),
        };
        Step {
            label: label.to_owned(),
            on: self.clone(),
            spinner,
        }
    }
}

impl Step {
    /// Says that it is done, and how long it took.
    pub(super) fn done(self, took: Duration) {
        let text = format!("compiled {} in {:.1} s", self.label, took.as_secs_f32());
        match &self.on {
            Progress::Logged => tracing::info!(component = self.label, ?took, "compiled"),
            Progress::Lines => say::line(&text),
            // Other spinners may be turning: they step aside for the line.
            Progress::Spinners(all) => all.suspend(|| say::line(&text)),
        }
    }
}

impl Drop for Step {
    /// Done or not, the spinner goes.
    fn drop(&mut self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}

fn spinner(text: String, started: Instant) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}")
        .expect("the template is a literal that parses");
    let spinner = ProgressBar::new_spinner()
        .with_style(style)
        .with_message(text)
        .with_elapsed(started.elapsed());
    spinner.enable_steady_tick(TICK);
    spinner
}
