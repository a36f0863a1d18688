//! What a person sees while a component goes up and while the node makes it ready.
//!
//! A bar and a spinner on a terminal, nothing elsewhere and for what takes no time.
//!
//! **Invariant:** nothing of them is left on the screen once they are done.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use midge_model::FunctionName;
use midge_model::quantity::format_bytes;

use crate::say;

/// How often the spinner moves.
const TICK: Duration = Duration::from_millis(100);

/// How often a bar is drawn in a second: as often as an eye can tell.
const DRAWS_PER_SECOND: u8 = 10;

/// Where progress is shown.
#[derive(Debug, Clone, Copy)]
pub(super) enum Progress {
    /// On a terminal.
    Drawn,
    /// Nowhere.
    Silent,
}

/// Something that goes on and is shown.
#[derive(Debug)]
pub(super) struct Step(Option<ProgressBar>);

impl Progress {
    /// As suits the place where words go to.
    pub(super) fn new() -> Self {
        if say::is_terminal() {
            Self::Drawn
        } else {
            Self::Silent
        }
    }

    /// Shows that so many bytes go up.
    pub(super) fn upload(self, function: &FunctionName, size_bytes: u64) -> Step {
        let Self::Drawn = self else {
            return Step(None);
        };
        let style = "uploading {msg} [{wide_bar}] {percent}%";
        let target = ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND);
        let bar = ProgressBar::with_draw_target(Some(size_bytes), target)
            .with_style(parsed(style).progress_chars("=> "))
            .with_message(format!("{function} ({})", format_bytes(size_bytes)));
        Step(Some(bar))
    }

    /// Shows that the node is at work.
    pub(super) fn wait(self, function: &FunctionName) -> Step {
        let Self::Drawn = self else {
            return Step(None);
        };
        let spinner = ProgressBar::new_spinner()
            .with_style(parsed("{spinner} {msg} {elapsed}"))
            .with_message(format!("deploying {function}"));
        spinner.enable_steady_tick(TICK);
        Step(Some(spinner))
    }
}

impl Step {
    /// What takes in how many bytes are on their way.
    pub(super) fn teller(&self) -> impl FnMut(u64) + Send + 'static {
        let bar = self.0.clone();
        move |sent_bytes| {
            if let Some(bar) = &bar {
                bar.set_position(sent_bytes);
            }
        }
    }
}

impl Drop for Step {
    /// Done or not, it goes.
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

fn parsed(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is a literal that parses")
}
