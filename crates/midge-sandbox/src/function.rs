//! A process's sandbox, and the functions loaded into it.
//!
//! Decides which host interfaces are linked and turns an artifact into something
//! that can be instantiated in microseconds. Running it is `invocation.rs`.
//!
//! **Invariant:** linking happens here, once per function; an invocation only
//! instantiates.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use midge_model::{Revision, Use};
use wasmtime::component;

use crate::artifact::{ArtifactCode, LoadError, LoadFault};
use crate::by_function::ByFunction;
use crate::contract::{CommandProgram, Program};
use crate::engine::{self, Engine, EngineError, SandboxConfig};
use crate::guest::{Guest, Guest01};
use crate::host::dirs::OpenedDirs;
use crate::host::http_out;
use crate::host::learned::Learned;
use crate::host::{config, files01, files02, files03, names, sockets};
use crate::limits::HANDLES_MAX;
use crate::mapped::{Mapped, Mapper};
use crate::powers::{Deployment, NodePowers, Powers};
use crate::ticker::Ticker;
use crate::turns::{Share, Turns};

/// One process's engine, linkers and clock. Single-threaded: shared by `Rc`.
pub struct Sandbox {
    shared: Rc<Shared>,
    mapper: Mapper,
    /// What each function gets of the worker's time.
    shares: ByFunction<Share>,
    components: component::Linker<Guest>,
    modules: wasmtime::Linker<Guest01>,
    /// The same for functions that have a folder.
    modules_with_files: wasmtime::Linker<Guest01>,
}

/// What every invocation needs of its sandbox.
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) ticker: Ticker,
    pub(crate) turns: Turns,
}

/// A revision ready to run: native code mapped, imports linked.
pub struct LoadedFunction {
    pub(crate) deployment: Arc<Deployment>,
    pub(crate) program: Program,
    pub(crate) powers: Arc<Powers>,
    pub(crate) dirs: OpenedDirs,
    pool_slots: u32,
    pub(crate) sandbox: Rc<Shared>,
    /// What its function gets of the worker's time.
    pub(crate) share: Arc<Share>,
}

impl Sandbox {
    /// A sandbox for this process, which lends its guests `powers` as far as they are granted.
    ///
    /// # Errors
    ///
    /// The engine could not be made, or its clock not be started; nothing can run.
    pub fn new(config: &SandboxConfig, powers: NodePowers) -> Result<Self, EngineError> {
        let engine = Engine::new(config)?;
        let refused = |error: wasmtime::Error| EngineError::Refused {
            allocation: config.allocation,
            source: error.into(),
        };
        let components = component_linker(&engine).map_err(refused)?;
        let modules = module_linker(&engine).map_err(refused)?;
        let mut modules_with_files = modules.clone();
        modules_with_files.allow_shadowing(true);
        files01::link(&mut modules_with_files).map_err(refused)?;
        let ticker = Ticker::start(&engine).map_err(|source| EngineError::Ticker { source })?;
        let mapper = Mapper {
            engine: engine.clone(),
            powers: Arc::new(powers),
        };
        Ok(Self {
            shared: Rc::new(Shared {
                engine,
                ticker,
                turns: Turns::default(),
            }),
            mapper,
            shares: ByFunction::default(),
            components,
            modules,
            modules_with_files,
        })
    }

    /// Maps the native code at `artifact` and links it for the deployed revision. Blocks for as
    /// long as the disk takes; who may not goes by [`Sandbox::mapper`] and [`Sandbox::link`].
    ///
    /// # Errors
    ///
    /// The artifact is damaged, made for another engine, or asks for an interface that
    /// is not linked: compile the component again. Or a granted folder cannot be opened.
    pub fn load(
        &self,
        artifact: &Path,
        deployment: Deployment,
    ) -> Result<Rc<LoadedFunction>, LoadError> {
        self.link(self.mapper.map(artifact, Arc::new(deployment))?)
    }

    /// What does the first part of loading, on a thread that may block.
    pub fn mapper(&self) -> Mapper {
        self.mapper.clone()
    }

    /// Links what was mapped: the second part of loading.
    ///
    /// # Errors
    ///
    /// The code asks for an interface that is not linked: compile the component again.
    pub fn link(&self, mapped: Mapped) -> Result<Rc<LoadedFunction>, LoadError> {
        let Mapped {
            artifact,
            code,
            deployment,
            powers,
            dirs,
        } = mapped;
        let linked = self.program(code, !dirs.is_empty());
        let (program, pool_slots) = linked.map_err(|error| error.of(&artifact))?;
        let weight = deployment.revision.limits.weight;
        let new = || self.shared.turns.share(weight);
        let share = self.shares.get(&deployment.revision, new);
        share.weigh(weight);
        Ok(Rc::new(LoadedFunction {
            share,
            deployment,
            program,
            powers,
            dirs,
            pool_slots,
            sandbox: Rc::clone(&self.shared),
        }))
    }

    /// The engine that its functions run on.
    pub fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    fn program(&self, code: ArtifactCode, has_folders: bool) -> Result<(Program, u32), LoadFault> {
        match code {
            ArtifactCode::Module(module) => {
                let linker = match has_folders {
                    true => &self.modules_with_files,
                    false => &self.modules,
                };
                let pre = linker.instantiate_pre(&module)?;
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
        &self.deployment.revision
    }

    /// The same with all that belongs to it.
    pub fn deployment(&self) -> &Arc<Deployment> {
        &self.deployment
    }

    /// What it was seen to use since this was last asked; nothing unless it is watched.
    pub fn take_uses(&self) -> Vec<Use> {
        let learned = self.powers.learned.as_ref();
        learned.map(Learned::take).unwrap_or_default()
    }

    /// How many descriptors one instance may have open: none, unless it was granted folders or
    /// sockets.
    pub fn descriptors_max(&self) -> u32 {
        let Revision { grants, limits, .. } = self.revision();
        let files = match self.dirs.is_empty() {
            true => 0,
            false => u32::try_from(HANDLES_MAX).expect("a few hundred"),
        };
        files + sockets::descriptors_max(grants, limits)
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
    linker.allow_shadowing(true);
    http_out::link_code02(&mut linker)?;
    config::link(&mut linker)?;
    files02::link(&mut linker)?;
    files03::link(&mut linker)?;
    names::add_to_linker(&mut linker)?;
    sockets::add_to_linker(&mut linker)?;
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
