//! Why a project was not built, and what to do about it.
//!
//! **Invariant:** every error that a missing program causes has a hint that gets it.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use crate::language::Language;

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Nothing in the folder is known.
    #[error("nothing in `{}` says how to build it", .folder.display())]
    Unknown {
        /// The project's folder.
        folder: PathBuf,
    },
    /// A program is missing.
    #[error("`{program}` is not on PATH, and {language} is built with it")]
    NoTool {
        /// What it is called.
        program: &'static str,
        /// Who needs it.
        language: Language,
        /// How people get it, in one line.
        get: &'static str,
    },
    /// A program is there and lacks a part.
    #[error("{lack}")]
    NoPart {
        /// What it lacks.
        lack: String,
        /// How people get it, in one line.
        get: String,
    },
    /// A program said no. It said why on its own.
    #[error("`{command}` ended with {status}")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// A program could not be started.
    #[error("start `{command}`")]
    NotStarted {
        /// The command line.
        command: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Everything went well, and the file is not there.
    #[error("the build left no `{}`", .file.display())]
    NoProduct {
        /// Where it should be.
        file: PathBuf,
    },
    /// A file of the project is not what it should be.
    #[error("`{}`: {reason}", .file.display())]
    BadFile {
        /// Which one.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The interface texts of the project do not fit together.
    #[error("read the interfaces in `{}`: {reason}", .folder.display())]
    BadInterfaces {
        /// Their folder.
        folder: PathBuf,
        /// The reader's reason.
        reason: String,
        /// What to do, where it is known.
        hint: Option<String>,
    },
    /// The module could not be made a component.
    #[error("make a component of `{}`: {reason}", .file.display())]
    Wrap {
        /// The core module.
        file: PathBuf,
        /// The encoder's reason.
        reason: String,
        /// What to do, where it is known.
        hint: Option<&'static str>,
    },
    /// A file could not be read or written.
    #[error("{what} `{}`", .file.display())]
    Files {
        /// What was tried.
        what: &'static str,
        /// With which file.
        file: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl BuildError {
    /// What to do about it, where the message does not say it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { .. } => {
                Some("write `build = \"…\"` into midge.toml, or begin with `midge new`".to_owned())
            }
            Self::NoTool { get, .. } => Some((*get).to_owned()),
            Self::NoPart { get, .. } => Some(get.clone()),
            Self::NoProduct { .. } => {
                Some("`component` in midge.toml says where the build leaves its file".to_owned())
            }
            Self::BadInterfaces { hint, .. } => hint.clone(),
            Self::Wrap { hint, .. } => hint.map(str::to_owned),
            Self::Failed { .. }
            | Self::NotStarted { .. }
            | Self::BadFile { .. }
            | Self::Files { .. } => None,
        }
    }

    /// A failure to read or write a file.
    pub(crate) fn files(
        what: &'static str,
        file: impl Into<PathBuf>,
    ) -> impl Fn(io::Error) -> Self {
        let file = file.into();
        move |source| Self::Files {
            what,
            file: file.clone(),
            source,
        }
    }
}
