//! A process's sandbox, and the functions loaded into it.
//!
//! Turns an artifact into something that can be instantiated in microseconds. What is linked is
//! `linkers.rs`, running it is `invocation.rs`.
//!
//! **Invariant:** linking happens here, once per function; an invocation only
//! instantiates.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use midge_model::{Revision, Use};

use crate::artifact::LoadError;
use crate::by_function::ByFunction;
use crate::contract::Program;
use crate::engine::{Engine, EngineError, SandboxConfig};
use crate::host::dirs::OpenedDirs;
use crate::host::learned::Learned;
use crate::host::sockets;
use crate::limits::HANDLES_MAX;
use crate::linkers::Linkers;
use crate::mapped::{Mapped, Mapper};
use crate::powers::{Deployment, NodePowers, Powers};
use crate::ticker::Ticker;
use crate::turns::{Share, Turns};

/// What the engine and we keep of a small loaded revision, beside its code: types, linked imports,
/// grants. Measured: 107 kB for a function of 237 kB.
const KNOWN_BYTES: u64 = 96 << 10;

/// What is kept grows with the code, by about this part of it.
const KNOWN_PART: u64 = 32;

/// One process's engine, linkers and clock. Single-threaded: shared by `Rc`.
pub struct Sandbox {
    shared: Rc<Shared>,
    mapper: Mapper,
    /// What each function gets of the worker's time.
    shares: ByFunction<Share>,
    linkers: Linkers,
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
    mapped_bytes: u64,
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
        let linkers = Linkers::new(&engine).map_err(refused)?;
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
            linkers,
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
        let mapped_bytes = code.mapped_bytes();
        let linked = self.linkers.link(code, !dirs.is_empty());
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
            mapped_bytes,
            sandbox: Rc::clone(&self.shared),
        }))
    }

    /// The engine that its functions run on.
    pub fn engine(&self) -> &Engine {
        &self.shared.engine
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

    /// The memory that it holds while nothing of it runs, as an estimate that is rather too high:
    /// what the engine knows of it, and all of its code, as if every page had been touched.
    pub fn held_bytes(&self) -> u64 {
        let known = KNOWN_BYTES + self.mapped_bytes / KNOWN_PART;
        known + self.mapped_bytes
    }

    /// How many of the pool's slots one instance takes.
    pub fn pool_slots(&self) -> u32 {
        self.pool_slots
    }
}
