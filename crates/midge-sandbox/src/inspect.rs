//! What a file is, told from its bytes alone.
//!
//! Decides which guest contract a file follows and what it asks the host for,
//! before anything is compiled. Whether the code itself is valid is the
//! compiler's to say.
//!
//! **Invariant:** nothing is sliced by a range the file declares; the parser hands
//! out checked sections or an error.

use std::collections::BTreeSet;

use midge_model::{Digest, Isolation, IsolationLevel};
use serde::Serialize;
use wasmparser::{Encoding, KnownCustom, Parser, Payload};

use crate::contract::Contract;
use crate::imports::{self, Import};

/// Custom sections of this prefix carry the component type of a core module.
const COMPONENT_TYPE_SECTION_PREFIX: &str = "component-type";

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

/// One line of a producers section (tool conventions: `language`, `processed-by`, `sdk`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Producer {
    /// `language`, `processed-by` or `sdk`.
    pub field: String,
    /// For example `Rust`.
    pub name: String,
    /// May be empty.
    pub version: String,
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
    /// A core module that is no preview 1 command.
    #[error("core module has no `_start`, so there is nothing to run")]
    NoStart,
    /// A component that exports nothing the host knows how to call.
    #[error("component exports none of the functions Midge can call, it exports {exports}")]
    NoKnownExport {
        /// What it does export.
        exports: String,
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
    /// It asks for something the host does not have.
    #[error("{kind} imports `{}`, which this host does not have", import.full_name())]
    UnknownImport {
        /// `component` or `core module`.
        kind: &'static str,
        /// The import that cannot be satisfied.
        import: Box<Import>,
        /// What the host has that comes nearest, and the likely fix.
        advice: String,
    },
}

impl InspectError {
    /// What the author of the file can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotWasm { .. } => {
                "give a `.wasm` or `.wat` file, as your compiler wrote it".to_owned()
            }
            Self::Text { .. } => return None,
            Self::Malformed { .. } => "build it again, or copy it again in full".to_owned(),
            Self::NoStart => "build a command (a `main` function) for wasm32-wasip1, or a \
                              component that exports `wasi:http/incoming-handler`"
                .to_owned(),
            Self::NoKnownExport { .. } => "export `wasi:http/incoming-handler@0.2`, \
                                           `wasi:http/handler@0.3` or `wasi:cli/run`"
                .to_owned(),
            Self::UnknownImport { advice, .. } => advice.clone(),
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
    let outline = Outline::read(&binary)?;
    Ok(Inspection {
        contract: outline.contract()?,
        digest: Digest::of(source),
        size_bytes: source.len() as u64,
        imports: outline.imports(),
        producers: outline.producers.into_iter().collect(),
        exports: outline.exports.into_iter().collect(),
    })
}

impl Inspection {
    /// Whether this host has everything that the file imports.
    ///
    /// # Errors
    ///
    /// [`InspectError::UnknownImport`] with the first import that it has not.
    pub fn check_imports(&self) -> Result<(), InspectError> {
        match self.imports.iter().find(|import| !import.provided) {
            None => Ok(()),
            Some(import) => Err(InspectError::UnknownImport {
                kind: match self.contract {
                    Contract::Command01 | Contract::AdaptedModule => "core module",
                    _ => "component",
                },
                advice: imports::advice(import),
                import: Box::new(import.clone()),
            }),
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

/// The outermost layer of a file.
#[derive(Default)]
struct Outline {
    is_component: bool,
    has_component_type: bool,
    imports: BTreeSet<String>,
    exports: BTreeSet<String>,
    producers: BTreeSet<Producer>,
}

impl Outline {
    fn read(binary: &[u8]) -> Result<Self, InspectError> {
        let mut outline = Self::default();
        let malformed = |source: wasmparser::BinaryReaderError| InspectError::Malformed {
            offset: source.offset() as u64,
            size_bytes: binary.len() as u64,
            source,
        };
        // Components nest modules and components; only the outermost layer meets the host.
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(binary) {
            match payload.map_err(malformed)? {
                Payload::Version { encoding, .. } if depth == 0 => {
                    outline.is_component = encoding == Encoding::Component;
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                // Tools are interesting at every depth: the component's own section names
                // only the tool that wrapped it.
                Payload::CustomSection(section) => outline.read_custom(&section, depth),
                payload if depth == 0 => outline.read_outer(payload).map_err(malformed)?,
                _ => {}
            }
        }
        Ok(outline)
    }

    fn read_outer(&mut self, payload: Payload<'_>) -> wasmparser::Result<()> {
        match payload {
            Payload::ComponentImportSection(section) => {
                for import in section {
                    self.imports.insert(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    self.exports.insert(export?.name.name.to_owned());
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    self.imports.insert(import?.module.to_owned());
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    self.exports.insert(export?.name.to_owned());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn read_custom(&mut self, section: &wasmparser::CustomSectionReader<'_>, depth: u32) {
        if depth == 0 && section.name().starts_with(COMPONENT_TYPE_SECTION_PREFIX) {
            self.has_component_type = true;
        }
        if let KnownCustom::Producers(fields) = section.as_known() {
            // A damaged producers section costs its own lines and nothing else: it is a comment.
            for field in fields.into_iter().flatten() {
                for value in field.values.clone().into_iter().flatten() {
                    self.producers.insert(Producer {
                        field: field.name.to_owned(),
                        name: value.name.to_owned(),
                        version: value.version.to_owned(),
                    });
                }
            }
        }
    }

    fn contract(&self) -> Result<Contract, InspectError> {
        if !self.is_component {
            return match (self.has_component_type, self.exports.contains("_start")) {
                (true, _) => Ok(Contract::AdaptedModule),
                (false, true) => Ok(Contract::Command01),
                (false, false) => Err(InspectError::NoStart),
            };
        }
        let exports: Vec<_> = self.exports.iter().map(String::as_str).collect();
        Contract::of_exports(&exports).ok_or_else(|| {
            let exports = self
                .exports
                .iter()
                .map(|name| format!("`{name}`"))
                .collect::<Vec<_>>();
            InspectError::NoKnownExport {
                exports: if exports.is_empty() {
                    "nothing".into()
                } else {
                    exports.join(", ")
                },
            }
        })
    }

    fn imports(&self) -> Vec<Import> {
        self.imports
            .iter()
            // What a module with an embedded component type imports under its own names
            // (`$root`, `cm32p2|…`, interface names) becomes component imports at deploy.
            .filter(|name| {
                !self.has_component_type || name.contains(':') || imports::is_preview1(name)
            })
            .map(|name| Import::of(name))
            .collect()
    }
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
