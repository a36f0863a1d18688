//! Questions to a person at a terminal.
//!
//! Decides when there is somebody to ask, and how an answer is read that must not be seen. What is
//! asked, and what happens without an answer, is decided by the commands.
//!
//! **Invariant:** the terminal echoes again when a question is over, however it ended.

use std::io::{self, BufRead as _, IsTerminal as _, Read};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

use crate::say;

/// The longest answer in bytes; the longest secret fits.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What a terminal sends for Ctrl-C, for Ctrl-D, for Ctrl-U and for the two kinds of backspace.
const INTERRUPT: u8 = 0x03;
const END_OF_INPUT: u8 = 0x04;
const KILL_LINE: u8 = 0x15;
const BACKSPACE: [u8; 2] = [0x08, 0x7f];

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PromptError {
    /// The terminal is gone or cannot be set.
    #[error("read from the terminal")]
    Terminal(#[from] io::Error),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// More than an answer.
    #[error("the answer is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
    /// Not text.
    #[error("the answer is not UTF-8 text")]
    NotText,
}

/// Whether somebody can be asked: reads what we say, and types.
pub(crate) fn is_interactive() -> bool {
    io::stdin().is_terminal() && say::is_terminal()
}

/// Whether a command failed because Ctrl-C was typed at a question.
pub(crate) fn is_interruption(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(PromptError::Interrupted))
}

/// Whether the answer to this question is yes. Anything but a clear yes is a no.
///
/// # Errors
///
/// The terminal is gone; take it for a no.
pub(crate) fn is_yes(question: &str) -> Result<bool, PromptError> {
    let answer = line(&format!("{question} [y/N] "))?.to_lowercase();
    Ok(answer == "y" || answer == "yes")
}

/// Reads a line, without the blanks around it.
///
/// # Errors
///
/// The terminal is gone.
pub(crate) fn line(question: &str) -> Result<String, PromptError> {
    say::text(question);
    let mut answer = String::new();
    io::stdin()
        .lock()
        .take(ANSWER_BYTES_MAX as u64)
        .read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

/// Reads a line that does not appear on the screen.
///
/// # Errors
///
/// The terminal is gone, the answer is none, or Ctrl-C was typed.
pub(crate) fn hidden(question: &str) -> Result<String, PromptError> {
    say::text(question);
    let quiet = Quiet::new()?;
    let answer = read_hidden(&mut io::stdin().lock());
    drop(quiet);
    // The end of the line was not echoed either.
    say::line("");
    answer
}

/// A terminal that shows nothing and hands over each key as it is typed. Keys that would end the
/// process are handed over too: ended in the middle, it would leave the terminal silent.
struct Quiet {
    before: Termios,
}

impl Quiet {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes -=
            LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN;
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self { before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // Whoever hung up the terminal needs no echo.
        tcsetattr(io::stdin(), OptionalActions::Flush, &self.before).ok();
    }
}

/// One line, key by key.
fn read_hidden(keys: &mut impl Read) -> Result<String, PromptError> {
    let mut answer = Vec::new();
    let mut key = [0];
    loop {
        if keys.read(&mut key)? == 0 {
            break;
        }
        match key[0] {
            b'\r' | b'\n' | END_OF_INPUT => break,
            INTERRUPT => return Err(PromptError::Interrupted),
            KILL_LINE => answer.clear(),
            key if BACKSPACE.contains(&key) => rub_out(&mut answer),
            _ if answer.len() == ANSWER_BYTES_MAX => return Err(PromptError::TooLong),
            key => answer.push(key),
        }
    }
    String::from_utf8(answer).map_err(|_| PromptError::NotText)
}

/// Takes away the last letter, which may be several bytes.
fn rub_out(answer: &mut Vec<u8>) {
    while let Some(byte) = answer.pop() {
        let is_inside_letter = byte & 0b1100_0000 == 0b1000_0000;
        if !is_inside_letter {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(keys: &str) -> String {
        match read_hidden(&mut keys.as_bytes()) {
            Ok(answer) => answer,
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn a_line_ends_where_return_was_typed() {
        assert_eq!(check("hunter2\rmore"), "hunter2");
        assert_eq!(check("hunter2"), "hunter2");
        assert_eq!(check(""), "");
    }

    #[test]
    fn backspace_takes_whole_letters() {
        assert_eq!(check("caf\u{e9}\x7fe\x7f\x7f\x08\x08\x08x\n"), "x");
        assert_eq!(check("wrong\x15right\n"), "right");
    }

    #[test]
    fn ctrl_c_is_no_answer() {
        assert_eq!(check("hunt\x03"), "error: interrupted");
    }
}
