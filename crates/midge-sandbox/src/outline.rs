//! The outermost layer of a file: what it imports and exports, and who made it.
//!
//! Reads sections and judges nothing; what follows from them is `inspect.rs` and `diagnosis/`.
//!
//! **Invariant:** depends on nothing of the engine, so that it can be fuzzed without one; nothing is
//! sliced by a range the file declares, the parser hands out checked sections or an error.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use wasmparser::{BinaryReader, ComponentTypeRef, Encoding, KnownCustom, Name, Parser, Payload};

use crate::interfaces::{self, Interfaces, TYPE_DEPTH_MAX, TooDeep};

/// What all names in a file may take together, kept as they are: a file of a megabyte can repeat one
/// name thousands of times.
const NAMES_BYTES_MAX: usize = 16 << 20;

/// What keeping a name takes besides its bytes.
const NAME_KEPT_BYTES: usize = 64;

/// Custom sections of this prefix carry the component type of a core module.
const COMPONENT_TYPE_SECTION_PREFIX: &str = "component-type";

/// The custom section of a core module that another module loads.
const DYNAMIC_LIBRARY_SECTION: &str = "dylink.0";

/// What begins the names of Emscripten's own functions.
const EMSCRIPTEN_PREFIX: &str = "emscripten_";

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

/// The outermost layer of a file.
#[derive(Default)]
pub(crate) struct Outline {
    pub(crate) is_component: bool,
    pub(crate) has_component_type: bool,
    /// Functions and other items, by interface or module.
    pub(crate) imports: BTreeMap<String, BTreeSet<String>>,
    pub(crate) exports: BTreeSet<String>,
    pub(crate) producers: BTreeSet<Producer>,
    pub(crate) signs: Signs,
}

/// Why the outermost layer cannot be told.
#[derive(Debug)]
pub(crate) enum OutlineError {
    /// A damaged file.
    Malformed(wasmparser::BinaryReaderError),
    /// A file that takes more of its reader than any compiler's; in words.
    Excessive(String),
}

impl From<wasmparser::BinaryReaderError> for OutlineError {
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        Self::Malformed(error)
    }
}

impl From<TooDeep> for OutlineError {
    fn from(_: TooDeep) -> Self {
        Self::Excessive(format!(
            "its types nest deeper than {TYPE_DEPTH_MAX} levels"
        ))
    }
}

type Result<T> = std::result::Result<T, OutlineError>;

/// Room for names.
struct Room {
    left_bytes: usize,
}

impl Room {
    /// A name to keep.
    fn keep(&mut self, name: &str) -> Result<String> {
        let taken = name.len().saturating_add(NAME_KEPT_BYTES);
        let Some(left) = self.left_bytes.checked_sub(taken) else {
            let most = NAMES_BYTES_MAX >> 20;
            return Err(OutlineError::Excessive(format!(
                "its names take more than {most}MiB"
            )));
        };
        self.left_bytes = left;
        Ok(name.to_owned())
    }
}

/// What else tells where a core module comes from.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Signs {
    /// It is to be loaded by another module.
    pub(crate) is_dynamic_library: bool,
    /// Functions in it have Emscripten's names.
    pub(crate) names_emscripten: bool,
}

impl Outline {
    /// Reads the sections of a binary.
    pub(crate) fn read(binary: &[u8]) -> Result<Self> {
        let mut reading = Reading {
            outline: Self::default(),
            interfaces: Interfaces::default(),
            imported: Vec::new(),
            room: Room {
                left_bytes: NAMES_BYTES_MAX,
            },
        };
        // Components nest modules and components; only the outermost layer meets the host.
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(binary) {
            match payload? {
                Payload::Version { encoding, .. } if depth == 0 => {
                    reading.outline.is_component = encoding == Encoding::Component;
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                // Tools are interesting at every depth: the component's own section names
                // only the tool that wrapped it.
                Payload::CustomSection(section) => reading.read_custom(&section, depth)?,
                Payload::ComponentTypeSection(section) => {
                    let range = section.range();
                    let start = range.start;
                    let types = BinaryReader::new(binary.get(range).unwrap_or_default(), start);
                    match depth {
                        0 => reading.interfaces.add_types(types)?,
                        _ => interfaces::check_depth(types)?,
                    }
                }
                payload if depth == 0 => reading.read_outer(payload)?,
                _ => {}
            }
        }
        reading.end()
    }
}

/// An outline in the making.
struct Reading<'a> {
    outline: Outline,
    interfaces: Interfaces<'a>,
    /// What a component imports, and as what.
    imported: Vec<(&'a str, ComponentTypeRef)>,
    room: Room,
}

impl<'a> Reading<'a> {
    fn read_outer(&mut self, payload: Payload<'a>) -> Result<()> {
        match payload {
            Payload::ComponentImportSection(section) => {
                for import in section {
                    let import = import?;
                    self.interfaces.add_import(&import);
                    let name = self.room.keep(import.name.name)?;
                    self.outline.imports.entry(name).or_default();
                    self.imported.push((import.name.name, import.ty));
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section {
                    self.interfaces.add_alias(&alias?);
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    let export = export?;
                    self.interfaces.add_export(&export);
                    let name = self.room.keep(export.name.name)?;
                    self.outline.exports.insert(name);
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    let module = self.room.keep(import.module)?;
                    let item = self.room.keep(import.name)?;
                    self.outline.imports.entry(module).or_default().insert(item);
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let name = self.room.keep(export?.name)?;
                    self.outline.exports.insert(name);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn read_custom(
        &mut self,
        section: &wasmparser::CustomSectionReader<'_>,
        depth: u32,
    ) -> Result<()> {
        let Self { outline, room, .. } = self;
        if depth == 0 {
            let name = section.name();
            outline.has_component_type |= name.starts_with(COMPONENT_TYPE_SECTION_PREFIX);
            outline.signs.is_dynamic_library |= name == DYNAMIC_LIBRARY_SECTION;
        }
        // Damage in one of these costs its own lines and nothing else: they are comments.
        match section.as_known() {
            KnownCustom::Producers(fields) => {
                for field in fields.into_iter().flatten() {
                    for value in field.values.clone().into_iter().flatten() {
                        outline.producers.insert(Producer {
                            field: room.keep(field.name)?,
                            name: room.keep(value.name)?,
                            version: room.keep(value.version)?,
                        });
                    }
                }
            }
            KnownCustom::Name(names) if depth == 0 => {
                outline.signs.names_emscripten |= names.into_iter().flatten().any(|names| {
                    let Name::Function(names) = names else {
                        return false;
                    };
                    let mut names = names.into_iter().flatten();
                    names.any(|naming| naming.name.starts_with(EMSCRIPTEN_PREFIX))
                });
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds what a component wants of each interface.
    fn end(self) -> Result<Outline> {
        let Self {
            mut outline,
            interfaces,
            imported,
            mut room,
        } = self;
        for (name, import) in imported {
            let Some(items) = outline.imports.get_mut(name) else {
                continue;
            };
            for item in interfaces.items(import) {
                items.insert(room.keep(item)?);
            }
        }
        Ok(outline)
    }
}

/// The beginning of a component that declares its imports and has no code yet: itself a component.
///
/// The component model lets imports stand anywhere; every tool writes them first, because all that
/// follows refers to them.
pub(crate) fn imports_only(component: &[u8]) -> wasmparser::Result<&[u8]> {
    let mut end = 0;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload?;
        end = match &payload {
            Payload::Version { range, .. } => range.end,
            Payload::ComponentTypeSection(section) => section.range().end,
            Payload::ComponentImportSection(section) => section.range().end,
            Payload::ComponentAliasSection(section) => section.range().end,
            Payload::CustomSection(section) => section.range().end,
            _ => break,
        };
    }
    Ok(component.get(..end).unwrap_or_default())
}
