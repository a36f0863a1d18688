//! Runs the tools that install tools.
//!
//! **Invariant:** a command that fails is an error with what it said last; one that does not is
//! silent.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Of what a tool said, so much is shown: a compiler that runs out of disk says megabytes.
const SHOWN_CHARS_MAX: usize = 4000;

/// Runs a tool to its end; what it says is shown only if it fails.
///
/// # Errors
///
/// It does not start, or does not exit with 0; with the end of what it said.
pub fn run(command: &mut Command) -> Result<()> {
    answer(command).map(drop)
}

/// The same, with what it wrote to stdout.
pub(crate) fn answer(command: &mut Command) -> Result<String> {
    let program = Path::new(command.get_program()).display().to_string();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start {program}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{program} ended with {}: {}",
        output.status,
        end_of(&format!("{said}{}", complaint.trim_end()))
    );
    Ok(said)
}

fn end_of(text: &str) -> &str {
    let cut = text.char_indices().rev().nth(SHOWN_CHARS_MAX - 1);
    &text[cut.map_or(0, |(at, _)| at)..]
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{SHOWN_CHARS_MAX, answer, end_of, run};

    #[test]
    fn what_a_tool_says_is_kept_for_when_it_fails() {
        let script = |text: &str| {
            let mut shell = Command::new("sh");
            shell.args(["-c", text]);
            shell
        };
        assert_eq!(answer(&mut script("echo yes")).unwrap(), "yes\n");
        let err = run(&mut script("echo one; echo two >&2; exit 3")).unwrap_err();
        assert_eq!(err.to_string(), "sh ended with exit status: 3: one\ntwo");
    }

    #[test]
    fn only_the_end_is_shown_of_what_goes_on_and_on() {
        let text = format!("{}end", "ä".repeat(SHOWN_CHARS_MAX));
        assert_eq!(end_of(&text).chars().count(), SHOWN_CHARS_MAX);
        assert!(end_of(&text).ends_with("ääend"));
        assert_eq!(end_of("short"), "short");
    }
}
