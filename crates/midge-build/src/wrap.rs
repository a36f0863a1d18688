//! From a core module to a component.
//!
//! **Invariant:** what comes out is valid; a module that does not fit its world is refused with the
//! encoder's reason and what to do about it.

use std::path::Path;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
    WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmparser::{Encoding, Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use crate::adapter_room::Room;
use crate::error::BuildError;
use crate::recipe::NEWEST;
use crate::wit::Interfaces;

/// How the adapter gets memory of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AdapterMemory {
    /// From the module's `cabi_realloc`.
    Realloc,
    /// For modules whose allocator is not there before they began, as Go's: from room that the
    /// module set aside, else by growing the memory.
    Own,
}

/// What kind of file the bytes are, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// A component: there is nothing to wrap.
    Component,
    /// A core module that begins at `_start`: run as it is.
    Command,
    /// Another core module, which says its own world.
    Typed,
    /// Another core module.
    Module,
    /// No WebAssembly.
    Nothing,
}

/// Looks into a file.
pub(crate) fn look(bytes: &[u8]) -> Found {
    let mut found = Found::Nothing;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload {
            Ok(Payload::Version {
                encoding: Encoding::Component,
                ..
            }) => {
                return Found::Component;
            }
            Ok(Payload::Version { .. }) => found = Found::Module,
            Ok(Payload::ExportSection(exports)) => {
                if exports
                    .into_iter()
                    .flatten()
                    .any(|export| export.name == "_start")
                {
                    return Found::Command;
                }
            }
            Ok(Payload::CustomSection(section)) if section.name().starts_with("component-type") => {
                found = Found::Typed;
            }
            Ok(_) => {}
            Err(_) => return found,
        }
    }
    found
}

/// Makes a component of a reactor whose allocator is not there before it began, as Go's, with the
/// one world in the folder `interfaces`.
///
/// # Errors
///
/// The texts in the folder do not fit together, or the module does not fit them.
pub fn component_of_reactor(module: Vec<u8>, interfaces: &Path) -> Result<Vec<u8>, BuildError> {
    let interfaces = Interfaces::complete(interfaces, interfaces, NEWEST)?;
    let file = Path::new("module.wasm");
    wrap(module, file, &interfaces, AdapterMemory::Own)
}

/// Makes a component of the core module `module`, which came from `file`.
pub(crate) fn wrap(
    mut module: Vec<u8>,
    file: &Path,
    interfaces: &Interfaces,
    memory: AdapterMemory,
) -> Result<Vec<u8>, BuildError> {
    let found = look(&module);
    let refused = |reason: String| BuildError::Wrap {
        file: file.to_owned(),
        hint: hint_for(&reason),
        reason,
    };
    if found != Found::Typed {
        let (resolve, world) = interfaces.resolved();
        embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8)
            .map_err(|error| refused(format!("{error:#}")))?;
    }
    let room = match memory {
        AdapterMemory::Own => Room::of(&module),
        AdapterMemory::Realloc => None,
    };
    if let Some(with) = room.and_then(|room| room.allocate_in(&module)) {
        module = with;
    }
    let adapter = match found {
        Found::Command => WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
        _ => WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
    };
    ComponentEncoder::default()
        .module(&module)
        .and_then(|encoder| encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, adapter))
        .map(|encoder| {
            encoder
                .validate(true)
                .realloc_via_memory_grow(memory == AdapterMemory::Own && room.is_none())
        })
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| refused(format!("{error:#}")))
}

fn hint_for(reason: &str) -> Option<&'static str> {
    if reason.contains("failed to find export") || reason.contains("does not export") {
        return Some("export what the world in `wit/` exports, under exactly these names");
    }
    if reason.contains("failed to resolve import") || reason.contains("module requires an import") {
        return Some("name the interface in the world in `wit/`, or do not link what imports it");
    }
    None
}
