//! A process's sandbox, and the functions loaded into it.
//!
//! Decides which host interfaces are linked and turns an artifact into something
//! that can be instantiated in microseconds. Running it is `invocation.rs`.
//!
//! **Invariant:** linking happens here, once per function; an invocation only
//! instantiates.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use midge_model::Revision;
use wasmtime::component;

use crate::artifact::{self, ArtifactCode, LoadError};
use crate::contract::{CommandProgram, Program};
use crate::engine::{self, Engine, EngineError, SandboxConfig};
use crate::guest::{Guest, Guest01};
use crate::host::dirs::OpenedDirs;
use crate::limits::HANDLES_MAX;
use crate::ticker::Ticker;
use crate::turns::{FunctionId, Turns};

/// One process's engine, linkers and clock. Single-threaded: shared by `Rc`.
pub struct Sandbox {
    shared: Rc<Shared>,
    components: component::Linker<Guest>,
    modules: wasmtime::Linker<Guest01>,
    loaded: Cell<FunctionId>,
}

/// What every invocation needs of its sandbox.
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) ticker: Ticker,
    pub(crate) turns: Turns,
}

/// A revision ready to run: native code mapped, imports linked.
pub struct LoadedFunction {
    pub(crate) revision: Revision,
    pub(crate) program: Program,
    pub(crate) dirs: OpenedDirs,
    pool_slots: u32,
    pub(crate) sandbox: Rc<Shared>,
    pub(crate) id: FunctionId,
    /// The function's name, as log lines and commands see it.
    pub(crate) label: Arc<str>,
}

impl Sandbox {
    /// A sandbox for this process.
    ///
    /// # Errors
    ///
    /// The engine could not be made, or its clock not be started; nothing can run.
    pub fn new(config: &SandboxConfig) -> Result<Self, EngineError> {
        let engine = Engine::new(config)?;
        let refused = |error: wasmtime::Error| EngineError::Refused {
            allocation: config.allocation,
            source: error.into(),
        };
        let components = component_linker(&engine).map_err(refused)?;
        let modules = module_linker(&engine).map_err(refused)?;
        let ticker = Ticker::start(&engine).map_err(|source| EngineError::Ticker { source })?;
        Ok(Self {
            shared: Rc::new(Shared {
                engine,
                ticker,
                turns: Turns::default(),
            }),
            components,
            modules,
            loaded: Cell::new(0),
        })
    }

    /// Maps the native code at `artifact` and links it for `revision`.
    ///
    /// # Errors
    ///
    /// The artifact is damaged, made for another engine, or asks for an interface that
    /// is not linked: compile the component again. Or a granted folder cannot be opened.
    pub fn load(
        &self,
        artifact: &Path,
        revision: Revision,
    ) -> Result<Rc<LoadedFunction>, LoadError> {
        let (program, pool_slots) = self.link(artifact).map_err(|error| error.of(artifact))?;
        let dirs = OpenedDirs::open(&revision.grants.dirs)?;
        let id = self.loaded.replace(self.loaded.get() + 1);
        Ok(Rc::new(LoadedFunction {
            id,
            label: revision.function.as_str().into(),
            revision,
            program,
            dirs,
            pool_slots,
            sandbox: Rc::clone(&self.shared),
        }))
    }

    fn link(&self, artifact: &Path) -> Result<(Program, u32), artifact::LoadFault> {
        let engine = &self.shared.engine;
        match artifact::load(engine, artifact)? {
            ArtifactCode::Module(module) => {
                let pre = self.modules.instantiate_pre(&module)?;
                let slots = engine::slots(Some(module.resources_required()));
                Ok((CommandProgram::Preview1(pre).into(), slots))
            }
            ArtifactCode::Component(component) => {
                let pre = self.components.instantiate_pre(&component)?;
                let slots = engine::slots(component.resources_required());
                Ok((Program::of_component(pre)?, slots))
            }
        }
    }
}

impl LoadedFunction {
    /// What this function is a revision of.
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// How many descriptors one instance may have open: none, unless it was granted a folder.
    pub fn descriptors_max(&self) -> u32 {
        if self.revision.grants.dirs.is_empty() {
            return 0;
        }
        u32::try_from(HANDLES_MAX).expect("a few hundred")
    }

    /// How many of the pool's slots one instance takes.
    pub fn pool_slots(&self) -> u32 {
        self.pool_slots
    }
}

/// Every interface that a component may import, in all versions. Linked is not
/// granted: each answers "denied" where the revision has no grant for it.
fn component_linker(engine: &Engine) -> wasmtime::Result<component::Linker<Guest>> {
    let mut linker = component::Linker::new(&engine.inner);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    Ok(linker)
}

fn module_linker(engine: &Engine) -> wasmtime::Result<wasmtime::Linker<Guest01>> {
    let mut linker = wasmtime::Linker::new(&engine.inner);
    wasmtime_wasi::p1::add_to_linker_async(&mut linker, |guest: &mut Guest01| &mut guest.wasi)?;
    Ok(linker)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Allocation;
    use crate::imports;

    /// What `midge inspect` promises is what the linker has: a component that imports
    /// every claimed interface as an empty instance must link.
    #[test]
    fn every_claimed_interface_is_linked() {
        let config = SandboxConfig {
            allocation: Allocation::OnDemand,
            instances_max: 1,
        };
        let engine = Engine::new(&config).unwrap();
        let linker = component_linker(&engine).unwrap();
        for interface in imports::claimed() {
            let text = format!(r#"(component (import "{interface}" (instance)))"#);
            let component = component::Component::new(&engine.inner, text).unwrap();
            linker.instantiate_pre(&component).unwrap_or_else(|error| {
                panic!("`{interface}` is claimed but not linked: {error:#}")
            });
        }
    }
}
