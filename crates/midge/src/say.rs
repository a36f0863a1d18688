//! Everything that midge prints, in one place.
//!
//! Data goes to stdout, words go to stderr; colour only where a terminal wants
//! it (`NO_COLOR` is obeyed by `anstream`). Which words is decided by the
//! callers, the log lines are `log.rs`.
//!
//! **Invariant:** text that came from outside (guests, files, paths) loses its
//! control characters before a terminal sees it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};

/// The style of the word `error:`.
const ERROR: Style = AnsiColor::Red.on_default().bold();

/// The style of the word `warning:`.
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// The style of the word `hint:`.
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// Why data could not be written to stdout.
#[derive(Debug, thiserror::Error)]
#[error("write to stdout")]
pub(crate) struct OutputClosed {
    source: io::Error,
}

impl OutputClosed {
    /// Whether the reader went away, which is its right.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        self.source.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Writes data to stdout as it is, newline included by the caller.
///
/// # Errors
///
/// The reader is gone or the disk is full; stop, there is nothing else to do.
pub(crate) fn data(text: &str) -> Result<(), OutputClosed> {
    let mut stdout = anstream::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|source| OutputClosed { source })
}

/// Writes one record to stdout: a line of JSON.
///
/// # Errors
///
/// The reader is gone or the disk is full; stop, there is nothing else to do.
pub(crate) fn record(record: &impl serde::Serialize) -> Result<(), OutputClosed> {
    // JSON writes control characters as escapes, so nothing has to be stripped.
    let line = serde_json::to_string(record).map_err(|source| OutputClosed {
        source: source.into(),
    })?;
    data(&format!("{line}\n"))
}

/// Writes bytes to stdout exactly as they are, but for a terminal, which is shown text.
///
/// # Errors
///
/// The reader is gone or the disk is full; stop, there is nothing else to do.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), OutputClosed> {
    if is_output_terminal() {
        return data(&clean_text(&String::from_utf8_lossy(bytes)));
    }
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(bytes)
        .and_then(|()| stdout.flush())
        .map_err(|source| OutputClosed { source })
}

/// Writes one line of words to stderr.
pub(crate) fn line(text: &str) {
    stderr(&format!("{}\n", clean_line(text)));
}

/// Writes words of several lines to stderr, newlines included by the caller.
pub(crate) fn text(text: &str) {
    stderr(&clean(text));
}

/// Writes one line of words to stderr that somebody should see, although we carried on.
pub(crate) fn warning(text: &str) {
    stderr(&format!(
        "{WARNING}warning:{WARNING:#} {}\n",
        clean_line(text)
    ));
}

/// Writes an error and its remedy to stderr.
pub(crate) fn error(text: &str, hint: Option<&str>) {
    stderr(&render_error(text, hint));
}

/// The error as it is printed: what and why, a blank line, what to type.
pub(crate) fn render_error(text: &str, hint: Option<&str>) -> String {
    let mut out = format!("{ERROR}error:{ERROR:#} {}\n", clean(text));
    if let Some(hint) = hint {
        write!(out, "\n{HINT}hint:{HINT:#} {}\n", clean(hint)).expect("a String takes all writes");
    }
    out
}

/// Whether words are read by a person at a terminal rather than by a file or a pipe.
pub(crate) fn is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Whether data is read by a person at a terminal.
pub(crate) fn is_output_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether stderr takes colours.
pub(crate) fn has_colour() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

/// Text of several lines without its control characters.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    strip(text, |letter| is_harmful(letter) && letter != '\n')
}

/// The same for text that is laid out with tabs.
fn clean_text(text: &str) -> Cow<'_, str> {
    strip(text, |letter| {
        is_harmful(letter) && !matches!(letter, '\n' | '\t')
    })
}

/// Text that must stay on one line, without its control characters.
pub(crate) fn clean_line(text: &str) -> Cow<'_, str> {
    strip(text, |letter| is_harmful(letter) && letter != '\t')
}

/// Whether a terminal would obey this letter instead of showing it: control characters, and those
/// that reverse the direction of text and so make it say something else than it does.
fn is_harmful(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn strip(text: &str, unwanted: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.chars().any(&unwanted) {
        Cow::Owned(
            text.chars()
                .map(|letter| if unwanted(letter) { '\u{fffd}' } else { letter })
                .collect(),
        )
    } else {
        Cow::Borrowed(text)
    }
}

fn stderr(text: &str) {
    // One write for the whole text: workers share this stderr, and lines must not mix.
    // When stderr is gone there is nobody left to tell.
    drop(anstream::stderr().lock().write_all(text.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_of_guests_do_not_reach_the_terminal() {
        assert_eq!(
            clean_line("a\x1b[2Jb\r\nc\td"),
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}c\td"
        );
        assert_eq!(clean("two\nlines\x07"), "two\nlines\u{fffd}");
        assert_eq!(clean_line("exe.\u{202e}txt"), "exe.\u{fffd}txt");
        assert!(matches!(clean_line("plain"), Cow::Borrowed("plain")));
    }
}
