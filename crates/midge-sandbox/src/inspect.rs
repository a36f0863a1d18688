//! What a file is, told from its bytes alone.
//!
//! Decides which guest contract a file follows and what it asks the host for,
//! before anything is compiled. Whether the code itself is valid is the
//! compiler's to say.
//!
//! **Invariant:** depends on nothing of the engine, so that it can be fuzzed without one.

use midge_model::{Digest, Isolation, IsolationLevel};
use serde::Serialize;

use crate::absent;
use crate::contract::Contract;
use crate::diagnosis::{Diagnosis, Facts};
use crate::imports::{self, Import};
use crate::outline::{Outline, OutlineError, Producer, Signs};

/// What `midge inspect` shows of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// How the file would be run.
    pub contract: Contract,
    /// SHA-256 of the file as given.
    pub digest: Digest,
    /// Size of the file as given.
    pub size_bytes: u64,
    /// Languages and tools that made it, from the producers section.
    pub producers: Vec<Producer>,
    /// What it asks the host for, sorted by name.
    pub imports: Vec<Import>,
    /// What it offers, sorted by name.
    pub exports: Vec<String>,
}

/// Why a file cannot be run. Every variant is the file's fault; tell its author.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// Neither the binary nor the text format.
    #[error("this is not WebAssembly: it starts with {starts_with}")]
    NotWasm {
        /// The first bytes, printable.
        starts_with: String,
    },
    /// Text format that does not parse; the source names line and column.
    #[error("the text format does not parse")]
    Text {
        /// Points into the text.
        source: wat::Error,
    },
    /// A WebAssembly header with damaged contents.
    #[error("the file is damaged or cut short at byte {offset} of {size_bytes}")]
    Malformed {
        /// Where the parser gave up.
        offset: u64,
        /// Size of the file.
        size_bytes: u64,
        /// The parser's reason.
        source: wasmparser::BinaryReaderError,
    },
    /// Reading it takes more than reading any compiler's output.
    #[error("this is no compiler's output: {what}")]
    Excessive {
        /// What there is too much of.
        what: String,
    },
    /// Its contract has no second invocation in one instance, or none beside the first.
    #[error("isolation `{level}` is not for this file: {why}")]
    Isolation {
        /// What was asked for.
        level: IsolationLevel,
        /// What its contract does not allow.
        why: &'static str,
        /// The widest that it allows.
        widest: IsolationLevel,
    },
    /// It is made for something else, or asks for what this host does not have.
    #[error(transparent)]
    Unfit(Box<Diagnosis>),
}

impl InspectError {
    /// What the author of the file can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotWasm { .. } => {
                "give a `.wasm` or `.wat` file, as your compiler wrote it".to_owned()
            }
            Self::Text { .. } | Self::Excessive { .. } => return None,
            Self::Malformed { .. } => "build it again, or copy it again in full".to_owned(),
            Self::Unfit(diagnosis) => diagnosis.hint(),
            Self::Isolation { widest, .. } => format!("isolation = \"{widest}\""),
        })
    }
}

/// The bytes of a component or core module in binary form: text is assembled,
/// binary is returned as it is.
///
/// # Errors
///
/// [`InspectError::NotWasm`] or [`InspectError::Text`].
pub fn to_binary(source: &[u8]) -> Result<std::borrow::Cow<'_, [u8]>, InspectError> {
    if source.starts_with(b"\0asm") {
        return Ok(source.into());
    }
    let looks_like_text =
        std::str::from_utf8(source).is_ok_and(|text| text.trim_start().starts_with(['(', ';']));
    if !looks_like_text {
        return Err(InspectError::NotWasm {
            starts_with: first_bytes(source),
        });
    }
    match wat::parse_bytes(source) {
        Ok(binary) => Ok(binary.into_owned().into()),
        Err(source) => Err(InspectError::Text { source }),
    }
}

/// Tells contract, imports, exports and makers of `source` (binary or text).
///
/// Says nothing about whether this host has what the file imports: see
/// [`Inspection::check_imports`].
///
/// # Errors
///
/// Why the file is nothing to run; [`InspectError::hint`] says what would help.
pub fn inspect(source: &[u8]) -> Result<Inspection, InspectError> {
    let binary = to_binary(source)?;
    let outline = Outline::read(&binary).map_err(|error| match error {
        OutlineError::Malformed(source) => InspectError::Malformed {
            offset: source.offset() as u64,
            size_bytes: binary.len() as u64,
            source,
        },
        OutlineError::Excessive(what) => InspectError::Excessive { what },
    })?;
    let contract = contract(&outline);
    let (is_component, signs) = (outline.is_component, outline.signs);
    let imports = imports(&outline);
    let producers: Vec<_> = outline.producers.into_iter().collect();
    let exports: Vec<_> = outline.exports.into_iter().collect();
    let Some(contract) = contract else {
        let diagnosis = Diagnosis::of(&Facts {
            is_component,
            is_callable: false,
            imports: &imports,
            exports: &exports,
            producers: &producers,
            signs,
        });
        let diagnosis = diagnosis.expect("what cannot be called has that fault at least");
        return Err(InspectError::Unfit(diagnosis.into()));
    };
    Ok(Inspection {
        contract,
        digest: Digest::of(source),
        size_bytes: source.len() as u64,
        imports,
        producers,
        exports,
    })
}

impl Inspection {
    /// Whether this host has everything that the file imports, by name and version. Whether it has
    /// it with the same types is [`crate::check_types`].
    ///
    /// # Errors
    ///
    /// [`InspectError::Unfit`] with the imports that it has not.
    pub fn check_imports(&self) -> Result<(), InspectError> {
        match Diagnosis::of(&self.facts()) {
            None => Ok(()),
            Some(diagnosis) => Err(InspectError::Unfit(diagnosis.into())),
        }
    }

    /// What there is to go by when something is wrong with it.
    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts {
            is_component: !matches!(self.contract, Contract::Command01 | Contract::AdaptedModule),
            is_callable: true,
            imports: &self.imports,
            exports: &self.exports,
            producers: &self.producers,
            signs: Signs::default(),
        }
    }
}

/// How far instances of a file can be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reusable {
    widest: IsolationLevel,
    why_no_wider: &'static str,
}

impl Inspection {
    /// How far instances of this file can be used again.
    pub fn reusable(&self) -> Reusable {
        let contract = match self.contract {
            // What a module with an embedded component type exports is `INTERFACE#FUNCTION`. What
            // cannot be told from that is seen when it is linked; then it is fresh if it must be.
            Contract::AdaptedModule => {
                let interfaces = self
                    .exports
                    .iter()
                    .filter_map(|name| name.split('#').next());
                let interfaces: Vec<_> = interfaces.collect();
                Contract::of_exports(&interfaces).unwrap_or(self.contract)
            }
            contract => contract,
        };
        let (widest, why_no_wider) = contract.widest_isolation();
        Reusable {
            widest,
            why_no_wider,
        }
    }
}

impl Reusable {
    /// Whether they may be used as `isolation` says.
    ///
    /// # Errors
    ///
    /// [`InspectError::Isolation`] where the contract has one invocation in an instance, or one at
    /// a time.
    pub fn check(&self, isolation: &Isolation) -> Result<(), InspectError> {
        let level = isolation.level();
        if level <= self.widest {
            return Ok(());
        }
        Err(InspectError::Isolation {
            level,
            why: self.why_no_wider,
            widest: self.widest,
        })
    }
}

/// How a file is run, if there is anything in it to call.
fn contract(outline: &Outline) -> Option<Contract> {
    if outline.is_component {
        let exports: Vec<_> = outline.exports.iter().map(String::as_str).collect();
        return Contract::of_exports(&exports);
    }
    match (
        outline.has_component_type,
        outline.exports.contains("_start"),
    ) {
        (true, _) => Some(Contract::AdaptedModule),
        (false, true) => Some(Contract::Command01),
        (false, false) => None,
    }
}

fn imports(outline: &Outline) -> Vec<Import> {
    let imports = outline.imports.iter().filter_map(|(name, functions)| {
        let name = match outline.has_component_type {
            true => component_import(name)?,
            false => name,
        };
        Some(Import {
            functions: functions.iter().cloned().collect(),
            ..Import::of(name)
        })
    });
    let mut imports: Vec<_> = imports.collect();
    // Some names lost their beginning.
    imports.sort_by_key(Import::full_name);
    let has = |name: &str| imports.iter().any(|import| import.full_name() == name);
    if absent::is_whole_world(has) {
        for import in &mut imports {
            import.ends_when_called = absent::is_absent(&import.full_name());
        }
    }
    imports
}

/// What a module with an embedded component type imports under its own names becomes a component's
/// import, or is made for it when it is wrapped (`$root`, `[export]wasi:http/handler@0.3.0`).
fn component_import(module: &str) -> Option<&str> {
    let name = module.strip_prefix("cm32p2|").unwrap_or(module);
    let is_interface = name.contains(':') && !name.starts_with('[');
    (is_interface || imports::is_preview1(name)).then_some(name)
}

fn first_bytes(source: &[u8]) -> String {
    const SHOWN_BYTES: usize = 8;
    if source.is_empty() {
        return "nothing, the file is empty".to_owned();
    }
    format!(
        "`{}`",
        source[..source.len().min(SHOWN_BYTES)].escape_ascii()
    )
}
