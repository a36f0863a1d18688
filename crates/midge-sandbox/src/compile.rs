//! From WebAssembly to native code, ahead of time.
//!
//! Decides how each kind of file is made ready: text is assembled, a core module
//! with an embedded component type becomes a component with the preview 1 adapter.
//! Runs in a compiler process of its own, under limits that process sets.
//!
//! **Invariant:** what a compile leaves behind is one complete file in the cache,
//! or nothing.

use std::path::{Path, PathBuf};

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
    WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::ComponentEncoder;

use crate::artifact::{self, ArtifactCache, CacheError};
use crate::contract::Contract;
use crate::diagnosis::Diagnosis;
use crate::engine::{Engine, Tasks};
use crate::imports::Import;
use crate::inspect::{self, InspectError, Inspection};
use crate::linkers::Linkers;
use crate::{candidate, types};

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
    /// The code asks for what the host has in another shape, or for more memories and tables than
    /// an instance can have.
    #[error(transparent)]
    Unlinkable(Box<Diagnosis>),
    /// The result could not be kept.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl CompileError {
    /// What the author of the file can do about it, or the operator.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Inspect(error) => error.hint(),
            Self::Unlinkable(diagnosis) => Some(diagnosis.hint()),
            Self::Cache(error) => error.hint(),
            Self::Componentize { .. } | Self::Invalid { .. } => None,
        }
    }
}

/// Compiles `source` (binary or text) with all cores, sees that it links, and puts the result into
/// `cache`.
///
/// # Errors
///
/// The file's fault ([`CompileError::Inspect`], `Componentize`, `Invalid`, `Unlinkable`), or the
/// cache's.
pub fn compile(
    engine: &Engine,
    cache: &ArtifactCache,
    source: &[u8],
) -> Result<PathBuf, CompileError> {
    let inspection = inspect::inspect(source)?;
    inspection.check_imports()?;
    let binary = inspect::to_binary(source)?;
    let linkers = Linkers::new(engine).map_err(|error| CompileError::Invalid {
        reason: format!("{error:#}"),
    })?;
    let (tasks, native) = match inspection.contract {
        Contract::Command01 => {
            let tasks = Tasks::One;
            (tasks, engine.of(tasks).precompile_module(&binary))
        }
        Contract::AdaptedModule => {
            let component = componentize(&binary)?;
            precompile(engine, &linkers, &inspect::inspect(&component)?, &component)?
        }
        Contract::Http02 | Contract::Http03 | Contract::Command02 | Contract::Command03 => {
            precompile(engine, &linkers, &inspection, &binary)?
        }
    };
    let native = native.map_err(|error| CompileError::Invalid {
        reason: format!("{error:#}"),
    })?;
    let code = (tasks, &*native);
    let links = |path: &Path| links(engine, &linkers, tasks, path, &inspection);
    cache.put(&inspection.digest, code, links)
}

/// A component's native code. Its types come first: they take no time, and the code may take much.
fn precompile(
    engine: &Engine,
    linkers: &Linkers,
    inspection: &Inspection,
    component: &[u8],
) -> Result<(Tasks, wasmtime::Result<Vec<u8>>), CompileError> {
    types::check(linkers, engine, inspection, component)?;
    let component = candidate::as_released(component).map_err(|error| CompileError::Invalid {
        reason: error.to_string(),
    })?;
    let tasks = tasks_of(inspection);
    Ok((tasks, engine.of(tasks).precompile_component(&component)))
}

/// How many tasks a component needs, as what it imports and exports says. Most need one.
pub(crate) fn tasks_of(component: &Inspection) -> Tasks {
    let is_03 = |import: &Import| {
        let version = import.version.as_deref();
        version.is_some_and(|version| version.starts_with("0.3."))
    };
    match component.contract {
        Contract::Http03 | Contract::Command03 => Tasks::Many,
        _ if component.imports.iter().any(is_03) => Tasks::Many,
        _ => Tasks::One,
    }
}

/// Whether a worker could load this. Known now, before anybody relies on it: a component whose
/// imports have the right names and wrong types compiles like any other.
fn links(
    engine: &Engine,
    linkers: &Linkers,
    tasks: Tasks,
    native: &Path,
    inspection: &Inspection,
) -> Result<(), CompileError> {
    let code = artifact::map(engine.of(tasks), native);
    match code.and_then(|code| linkers.link(code, true)) {
        Ok(_) => Ok(()),
        Err(fault) => {
            let diagnosis = Diagnosis::of_link(&inspection.facts(), &fault.causes(native));
            Err(CompileError::Unlinkable(diagnosis.into()))
        }
    }
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

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::engine::{Allocation, SandboxConfig};

    /// What compiling says, and whether it left native code behind.
    fn check(text: &str) -> String {
        let engine = Engine::new(&SandboxConfig {
            allocation: Allocation::Pooling,
            instances_max: 1,
        })
        .unwrap();
        let home = tempfile::tempdir().unwrap();
        let cache = ArtifactCache::open(&home.path().join("cache"), &engine).unwrap();
        let result = compile(&engine, &cache, text.as_bytes());
        let found = cache
            .find(&midge_model::Digest::of(text.as_bytes()))
            .unwrap();
        match result {
            Ok(_) => format!("ok, {found:?}"),
            Err(error) => {
                let hint = error.hint().unwrap_or_default();
                format!("{error}\nhint: {hint}\n{found:?}")
            }
        }
    }

    #[test]
    fn code_that_no_worker_could_load_is_not_kept() {
        let wrong_type = r#"(component
            (import "wasi:cli/environment@0.2.6" (instance
                (export "get-arguments" (func (param "wrong" u32)))))
            (core module $m (func (export "run") (result i32) i32.const 0))
            (core instance $i (instantiate $m))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $exported (export "run" (func $run)))
            (export "wasi:cli/run@0.2.6" (instance $exported)))"#;
        assert_snapshot!(check(wrong_type), @r"
        component imports `get-arguments` of `wasi:cli/environment@0.2.6` with other types than this host's version 0.2.12 has: type mismatch with parameters: expected 0-tuple, found 1-tuple
        hint: no release has it like that: build it with the WIT of version 0.2.12, as `midge build` puts it into `wit/deps`
        Miss
        ");
        let unknown_function = r#"(module
            (import "wasi_snapshot_preview1" "fd_teleport" (func))
            (memory (export "memory") 1)
            (func (export "_start")))"#;
        assert_snapshot!(check(unknown_function), @r"
        core module imports `fd_teleport` of `wasi_snapshot_preview1`, which this host does not have
        hint: some runtimes add functions to WASI preview 1: build it with an unmodified wasi-sdk, or for wasm32-wasip1
        Miss
        ");
        let too_many_memories = format!(
            r#"(module (memory (export "memory") 1) {} (func (export "_start")))"#,
            "(memory 1)".repeat(20)
        );
        assert_snapshot!(check(&too_many_memories), @r"
        core module does not fit into an instance: module memory does not fit in pooling allocator requirements: defined memories count of 21 exceeds the per-instance limit of 8
        hint: `midge inspect FILE` lists what an instance can have
        Miss
        ");
    }
}
