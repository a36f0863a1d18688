//! One command of a build.
//!
//! **Invariant:** a program is started by its path and words, never through a shell, unless the
//! manifest's own command line asks for one.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::BuildError;

/// A word as a shell reads it back: in quotes, where it would be more than one or mean something.
pub fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |letter: char| letter.is_alphanumeric() || "_-./:=@%+,".contains(letter);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => Cow::Borrowed(word),
        false => Cow::Owned(format!("'{}'", word.replace('\'', r"'\''"))),
    }
}

/// A command, and where it runs.
#[derive(Debug, Clone)]
pub struct Step {
    program: PathBuf,
    args: Vec<OsString>,
    envs: Vec<(&'static str, OsString)>,
    folder: PathBuf,
}

impl Step {
    /// A program that runs in `folder`.
    pub(crate) fn new(program: impl Into<PathBuf>, folder: &Path) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            envs: Vec::new(),
            folder: folder.to_owned(),
        }
    }

    /// The manifest's own command line, which a shell reads.
    pub fn shell(line: &str, folder: &Path) -> Self {
        Self::new("/bin/sh", folder).args(["-c", line])
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.envs.push((name, value.as_ref().to_owned()));
        self
    }

    /// The command line as a person would type it.
    pub fn line(&self) -> String {
        if let ("/bin/sh", [_, line]) = (&*self.program.to_string_lossy(), &*self.args) {
            return line.to_string_lossy().into_owned();
        }
        let program = self.program.file_name().unwrap_or(self.program.as_os_str());
        let envs = self
            .envs
            .iter()
            .map(|(name, value)| format!("{name}={}", quoted(&value.to_string_lossy())));
        let words = std::iter::once(program)
            .chain(self.args.iter().map(OsString::as_os_str))
            .map(|word| quoted(&word.to_string_lossy()).into_owned());
        envs.chain(words).collect::<Vec<_>>().join(" ")
    }

    /// Runs it to its end. What it prints, the person sees: on stderr, for stdout is data.
    ///
    /// # Errors
    ///
    /// It could not be started, or ended with something else than 0.
    pub fn run(&self) -> Result<(), BuildError> {
        let status = Command::new(&self.program)
            .args(&self.args)
            .envs(self.envs.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(std::io::stderr())
            .status()
            .map_err(|source| BuildError::NotStarted {
                command: self.line(),
                source,
            })?;
        if status.success() {
            return Ok(());
        }
        Err(BuildError::Failed {
            command: self.line(),
            status,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_typed_as_it_is_shown() {
        let step = Step::new("/usr/bin/printf", Path::new("/"))
            .args(["%s\\n", "plain.c", "two words", "it's", "", "$HOME", "*"])
            .env("WHERE", "/a b");
        assert_eq!(
            step.line(),
            r"WHERE='/a b' printf '%s\n' plain.c 'two words' 'it'\''s' '' '$HOME' '*'"
        );
        let typed = Command::new("/bin/sh").args(["-c", &step.line()]).output();
        let shown = String::from_utf8(typed.unwrap().stdout).unwrap();
        assert_eq!(shown, "plain.c\ntwo words\nit's\n\n$HOME\n*\n");
    }
}
