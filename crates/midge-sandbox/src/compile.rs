//! From WebAssembly to native code, ahead of time.
//!
//! Decides how each kind of file is made ready: text is assembled, a core module
//! with an embedded component type becomes a component with the preview 1 adapter.
//! Runs in a compiler process of its own, under limits that process sets.
//!
//! **Invariant:** what a compile leaves behind is one complete file in the cache,
//! or nothing.

use std::path::PathBuf;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
    WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::ComponentEncoder;

use crate::artifact::{ArtifactCache, CacheError};
use crate::contract::Contract;
use crate::engine::Engine;
use crate::inspect::{self, InspectError};

/// Why there is no native code.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The file cannot be run here.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// The embedded component type and the module do not fit together.
    #[error("make a component of the core module: {reason}")]
    Componentize {
        /// The encoder's reason, with its causes.
        reason: String,
    },
    /// The code is not valid WebAssembly, or uses a proposal this host does not have.
    #[error("compile: {reason}")]
    Invalid {
        /// The validator's reason, with its causes.
        reason: String,
    },
    /// The result could not be kept.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// Compiles `source` (binary or text) with all cores and puts the result into `cache`.
///
/// # Errors
///
/// The file's fault ([`CompileError::Inspect`], `Componentize`, `Invalid`), or the
/// cache's.
pub fn compile(
    engine: &Engine,
    cache: &ArtifactCache,
    source: &[u8],
) -> Result<PathBuf, CompileError> {
    let inspection = inspect::inspect(source)?;
    inspection.check_imports()?;
    let binary = inspect::to_binary(source)?;
    let engine = &engine.inner;
    let native = match inspection.contract {
        Contract::Command01 => engine.precompile_module(&binary),
        Contract::AdaptedModule => engine.precompile_component(&componentize(&binary)?),
        Contract::Http02 | Contract::Http03 | Contract::Command02 | Contract::Command03 => {
            engine.precompile_component(&binary)
        }
    };
    let native = native.map_err(|error| CompileError::Invalid {
        reason: format!("{error:#}"),
    })?;
    Ok(cache.put(&inspection.digest, &native)?)
}

/// Makes a component of a core module that carries its component type.
fn componentize(module: &[u8]) -> Result<Vec<u8>, CompileError> {
    let is_command = exports_start(module);
    let adapter = if is_command {
        WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER
    } else {
        WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER
    };
    ComponentEncoder::default()
        .module(module)
        .and_then(|encoder| encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, adapter))
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| CompileError::Componentize {
            reason: format!("{error:#}"),
        })
}

fn exports_start(module: &[u8]) -> bool {
    wasmparser::Parser::new(0)
        .parse_all(module)
        .any(|payload| match payload {
            Ok(wasmparser::Payload::ExportSection(exports)) => exports
                .into_iter()
                .flatten()
                .any(|export| export.name == "_start"),
            _ => false,
        })
}
