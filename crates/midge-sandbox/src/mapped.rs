//! Loading a function, in two steps.
//!
//! Decides what of it may wait for the disk: reading native code, opening granted folders,
//! reading root certificates. That is done by a [`Mapper`] on whatever thread may block. What is
//! left, linking, belongs to the sandbox's own thread and takes microseconds (`function.rs`).
//!
//! **Invariant:** what was mapped is for one deployment, and is linked for that one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::artifact::{self, ArtifactCode, LoadError, LoadFault};
use crate::engine::Engine;
use crate::host::dirs::OpenedDirs;
use crate::powers::{Deployment, NodePowers, Powers};

/// What of a sandbox may leave its thread: it maps code for it. Cheap to clone.
#[derive(Clone)]
pub struct Mapper {
    pub(crate) engine: Engine,
    pub(crate) powers: Arc<NodePowers>,
}

/// Native code in memory with all that belongs to its deployment, not linked yet.
pub struct Mapped {
    pub(crate) artifact: PathBuf,
    pub(crate) code: ArtifactCode,
    pub(crate) deployment: Arc<Deployment>,
    pub(crate) powers: Arc<Powers>,
    pub(crate) dirs: OpenedDirs,
}

impl Mapper {
    /// Maps the native code at `artifact` and opens what the deployment was granted. Blocks.
    ///
    /// # Errors
    ///
    /// The artifact is damaged or made for another engine: compile the component again. Or a
    /// granted folder cannot be opened, or a secret not be put into requests.
    pub fn map(&self, artifact: &Path, deployment: Arc<Deployment>) -> Result<Mapped, LoadError> {
        let map = || {
            let tasks = artifact::tasks_of(&self.engine, artifact);
            let tasks = tasks.ok_or_else(|| wasmtime::format_err!("its name is not ours"))?;
            artifact::map(self.engine.of(tasks), artifact)
        };
        let code = map().map_err(|error: LoadFault| error.of(artifact))?;
        let powers = self.powers.of(&deployment)?;
        let usage = deployment.usage.as_ref();
        let grants = &deployment.revision.grants;
        let dirs = OpenedDirs::open(grants, usage, self.powers.tmp())?;
        Ok(Mapped {
            artifact: artifact.into(),
            code,
            powers,
            dirs,
            deployment,
        })
    }

    /// The engine that the code is for.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The point of the split: both halves may cross threads.
    #[test]
    fn a_mapper_and_what_it_mapped_can_cross_threads() {
        fn crosses<T: Send>() {}
        crosses::<Mapper>();
        crosses::<Mapped>();
    }
}
