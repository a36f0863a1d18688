//! Imports whose interface is here and whose function is not, or is of another type.
//!
//! Reads what the engine says when it links; a test holds its words against ours.

use std::fmt;

use super::words::{item, quoted, reason};
use crate::imports::{self, Import};

/// A function that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mismatch {
    interface: Import,
    function: String,
    how: How,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum How {
    /// This host's version does not have it.
    Absent,
    /// This host's is another, as the engine says.
    OtherTypes(String),
}

impl Mismatch {
    /// A function that preview 1 does not have.
    pub(super) fn of_preview1(imports: &[Import]) -> Option<Self> {
        let interface = imports
            .iter()
            .find(|import| imports::is_preview1(&import.name))?;
        let unknown = |name: &&String| !imports::PREVIEW1_FUNCTIONS.contains(&name.as_str());
        Some(Self {
            function: interface.functions.iter().find(unknown)?.clone(),
            interface: interface.clone(),
            how: How::Absent,
        })
    }

    /// What the engine complains of, if it is an import: its causes, the outermost first.
    pub(super) fn of_link(imports: &[Import], causes: &[String]) -> Option<Self> {
        let (at, (interface, function)) = causes.iter().enumerate().find_map(|(at, cause)| {
            Some((at, of_module(cause).or_else(|| of_component(causes, at))?))
        })?;
        let known = imports
            .iter()
            .find(|import| import.full_name() == interface);
        let reasons: Vec<_> = causes[at + 1..]
            .iter()
            .map(String::as_str)
            .filter(|cause| !cause.ends_with(WRONG_TYPE))
            .collect();
        let is_absent = causes[at].ends_with(NOT_DEFINED)
            || reasons.iter().any(|cause| cause.ends_with(ABSENT));
        Some(Self {
            interface: known.cloned().unwrap_or_else(|| Import::of(interface)),
            function: function.to_owned(),
            how: match is_absent {
                true => How::Absent,
                false => How::OtherTypes(reason(&reasons)),
            },
        })
    }

    pub(super) fn hint(&self) -> String {
        if imports::is_preview1(&self.interface.name) {
            return "some runtimes add functions to WASI preview 1: build it with an unmodified \
                    wasi-sdk, or for wasm32-wasip1"
                .to_owned();
        }
        let asked = self.interface.version.as_deref().unwrap_or_default();
        match self.interface.version_here() {
            Some(here) if self.how == How::Absent && is_later_patch(asked, here) => {
                format!("build it for version {here}, or ask a newer Midge")
            }
            // Later patch releases add, and never change what was there.
            here => {
                let of = match here {
                    None | Some(imports::NO_VERSION) => String::new(),
                    Some(version) => format!(" of version {version}"),
                };
                format!(
                    "no release has it like that: build it with the WIT{of}, as `midge build` puts \
                     it into `wit/deps`"
                )
            }
        }
    }
}

/// How the engine ends its sentences.
const WRONG_TYPE: &str = "has the wrong type";
const ABSENT: &str = "implementation is missing";
const NOT_DEFINED: &str = "has not been defined";

/// Of a core module: ``unknown import: `env::abort` has not been defined``.
fn of_module(cause: &str) -> Option<(&str, &str)> {
    let starts = ["unknown import: ", "incompatible import type for "];
    let rest = starts.iter().find_map(|start| cause.strip_prefix(start))?;
    between_backticks(rest)?.split_once("::")
}

/// Of a component: ``component imports instance `a:b/c@1.0.0`, but ...`` and, below that,
/// ``instance export `d` has the wrong type``.
fn of_component(causes: &[String], at: usize) -> Option<(&str, &str)> {
    let rest = causes[at].strip_prefix("component imports instance ")?;
    let inner = causes.get(at + 1)?.strip_prefix("instance export ")?;
    Some((between_backticks(rest)?, between_backticks(inner)?))
}

fn between_backticks(text: &str) -> Option<&str> {
    text.strip_prefix('`')?
        .split_once('`')
        .map(|(name, _)| name)
}

/// Whether `asked` is of the same minor version as `here` and later.
fn is_later_patch(asked: &str, here: &str) -> bool {
    let split = |version: &str| {
        let (minor, patch) = version.rsplit_once('.')?;
        Some((minor.to_owned(), patch.parse::<u64>().ok()?))
    };
    match (split(asked), split(here)) {
        (Some((minor, asked)), Some((minor_here, here))) => minor == minor_here && asked > here,
        _ => false,
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let function = quoted(item(&self.function));
        let interface = quoted(&self.interface.full_name());
        let here = match self.interface.version_here() {
            None | Some(imports::NO_VERSION) => "this host".to_owned(),
            Some(version) => format!("this host's version {version}"),
        };
        match &self.how {
            How::Absent => write!(
                f,
                "imports {function} of {interface}, which {here} does not have"
            ),
            How::OtherTypes(reason) => write!(
                f,
                "imports {function} of {interface} with other types than {here} has: {reason}"
            ),
        }
    }
}
