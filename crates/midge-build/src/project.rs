//! A folder that is to be built, and what is said about it.
//!
//! **Invariant:** everything that a build writes lies below `build/` or where the language's own
//! tools put it; nothing a person wrote is touched.

use std::path::{Path, PathBuf};

use midge_model::FunctionName;

/// A project.
#[derive(Debug, Clone)]
pub struct Project {
    folder: PathBuf,
    name: FunctionName,
    component: PathBuf,
}

impl Project {
    /// The project in `folder` of the function `name`, whose component is to be at `component`.
    pub fn new(folder: PathBuf, name: FunctionName, component: PathBuf) -> Self {
        Self {
            folder,
            name,
            component,
        }
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The function's name.
    pub fn name(&self) -> &FunctionName {
        &self.name
    }

    /// Where the component is to be.
    pub fn component(&self) -> &Path {
        &self.component
    }

    /// Where builds keep what lies between source and component.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.folder.join("build")
    }

    /// The core module that is still to be wrapped.
    pub(crate) fn core_module(&self) -> PathBuf {
        self.scratch().join(format!("{}.core.wasm", self.name))
    }

    /// The folder of its interface texts.
    pub(crate) fn wit(&self) -> PathBuf {
        self.folder.join("wit")
    }
}
