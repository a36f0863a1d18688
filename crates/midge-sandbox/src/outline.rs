//! The outermost layer of a file: what it imports and exports, and who made it.
//!
//! Reads sections and judges nothing; what follows from them is `inspect.rs` and `diagnosis/`.
//!
//! **Invariant:** depends on nothing of the engine, so that it can be fuzzed without one; nothing is
//! sliced by a range the file declares, the parser hands out checked sections or an error.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use wasmparser::component_types::ComponentEntityType;
use wasmparser::{Encoding, KnownCustom, Name, Parser, Payload, Validator, WasmFeatures};

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
    pub(crate) fn read(binary: &[u8]) -> wasmparser::Result<Self> {
        let mut outline = Self::default();
        // Components nest modules and components; only the outermost layer meets the host.
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(binary) {
            match payload? {
                Payload::Version { encoding, .. } if depth == 0 => {
                    outline.is_component = encoding == Encoding::Component;
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                // Tools are interesting at every depth: the component's own section names
                // only the tool that wrapped it.
                Payload::CustomSection(section) => outline.read_custom(&section, depth),
                payload if depth == 0 => outline.read_outer(payload)?,
                _ => {}
            }
        }
        if outline.is_component {
            outline.read_items(binary)?;
        }
        Ok(outline)
    }

    fn read_outer(&mut self, payload: Payload<'_>) -> wasmparser::Result<()> {
        match payload {
            Payload::ComponentImportSection(section) => {
                for import in section {
                    self.imports
                        .entry(import?.name.name.to_owned())
                        .or_default();
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    self.exports.insert(export?.name.name.to_owned());
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    let items = self.imports.entry(import.module.to_owned()).or_default();
                    items.insert(import.name.to_owned());
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
        if depth == 0 {
            let name = section.name();
            self.has_component_type |= name.starts_with(COMPONENT_TYPE_SECTION_PREFIX);
            self.signs.is_dynamic_library |= name == DYNAMIC_LIBRARY_SECTION;
        }
        // Damage in one of these costs its own lines and nothing else: they are comments.
        match section.as_known() {
            KnownCustom::Producers(fields) => {
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
            KnownCustom::Name(names) if depth == 0 => {
                self.signs.names_emscripten |= names.into_iter().flatten().any(|names| {
                    let Name::Function(names) = names else {
                        return false;
                    };
                    let mut names = names.into_iter().flatten();
                    names.any(|naming| naming.name.starts_with(EMSCRIPTEN_PREFIX))
                });
            }
            _ => {}
        }
    }

    /// What a component wants of each interface. The types are the validator's to resolve; where it
    /// finds fault with them the names stay unknown, and the compiler will say why.
    fn read_items(&mut self, component: &[u8]) -> wasmparser::Result<()> {
        let prefix = imports_only(component)?;
        let mut validator = Validator::new_with_features(WasmFeatures::all());
        let Ok(types) = validator.validate_all(prefix) else {
            return Ok(());
        };
        let types = types.as_ref();
        for (name, items) in &mut self.imports {
            let import = types.component_item_for_import(name);
            if let Some(ComponentEntityType::Instance(instance)) = import.map(|item| item.ty) {
                let exports = types[instance].exports.iter();
                items.extend(exports.filter_map(|(name, item)| {
                    // A type is a name for a shape; a resource shows in its methods.
                    let is_shape = matches!(item.ty, ComponentEntityType::Type { .. });
                    (!is_shape).then(|| name.clone())
                }));
            }
        }
        Ok(())
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
