//! Bindings for C, and for what can use C's: made anew with each build, from the interface texts.
//!
//! **Invariant:** the folder holds what the texts say now, and nothing of an earlier build.

use std::fs;
use std::path::{Path, PathBuf};

use wit_bindgen_core::Files;

use crate::error::BuildError;
use crate::wit::Interfaces;

/// Writes the bindings of a world into `folder` and answers which files a compiler is given.
pub(crate) fn c(interfaces: &Interfaces, folder: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let (resolve, world) = interfaces.resolved();
    // The generator needs one that it may change.
    let mut resolve = resolve.clone();
    let mut files = Files::default();
    wit_bindgen_c::Opts::default()
        .build()
        .generate(&mut resolve, world, &mut files)
        .map_err(|error| BuildError::BadInterfaces {
            folder: interfaces.folder.clone(),
            reason: format!("{error:#}"),
            hint: None,
        })?;
    if folder.is_dir() {
        fs::remove_dir_all(folder).map_err(BuildError::files("empty", folder))?;
    }
    fs::create_dir_all(folder).map_err(BuildError::files("make", folder))?;
    let mut compiled = Vec::new();
    for (name, bytes) in files.iter() {
        let file = folder.join(name);
        fs::write(&file, bytes).map_err(BuildError::files("write", &file))?;
        let is_compiled = file
            .extension()
            .is_some_and(|extension| extension == "c" || extension == "o");
        if is_compiled {
            compiled.push(file);
        }
    }
    Ok(compiled)
}
