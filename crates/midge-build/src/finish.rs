//! What happens to the file that a build left: optimised if asked for, wrapped if it has to be,
//! named.
//!
//! **Invariant:** the component appears complete under its name or not at all, and a file that
//! another name is linked to (cargo's) is replaced, not written into.

use std::fs;
use std::path::Path;

use crate::error::BuildError;
use crate::language::Language;
use crate::metadata::Metadata;
use crate::project::Project;
use crate::recipe::{Plan, World};
use crate::tools::WASM_OPT;
use crate::wrap::{self, Found};

/// Whether the code is optimised once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Optimize {
    /// As the language's compiler left it.
    No,
    /// With binaryen's `wasm-opt -O3`, where it is still a core module.
    WasmOpt,
}

/// A component that is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// Its length.
    pub bytes: u64,
    /// Whether it was made of a core module here.
    pub wrapped: bool,
    /// Whether `wasm-opt` had something to work on.
    pub optimized: bool,
}

/// Makes the component out of what the steps of `plan` left.
///
/// # Errors
///
/// The file is not there or no WebAssembly, does not fit the project's world, or could not be
/// written.
pub fn finish(project: &Project, plan: &Plan, optimize: Optimize) -> Result<Finished, BuildError> {
    let product = plan.product();
    if !product.is_file() {
        let file = product.to_owned();
        return Err(BuildError::NoProduct { file });
    }
    let mut bytes = fs::read(product).map_err(BuildError::files("read", product))?;
    if product
        .extension()
        .is_some_and(|extension| extension == "wat")
    {
        // Text is run as it is: whoever writes it wants to read it.
        return Ok(Finished::as_it_is(&bytes));
    }
    let found = wrap::look(&bytes);
    let optimized = optimize == Optimize::WasmOpt && found != Found::Component;
    if optimized {
        bytes = optimise(project, plan.language(), product)?;
    }
    let wrapped = match (found, plan.world()) {
        (Found::Nothing, _) => {
            return Err(BuildError::BadFile {
                file: product.to_owned(),
                reason: "this is no WebAssembly".to_owned(),
            });
        }
        (Found::Module | Found::Typed, World::Of(interfaces)) => {
            bytes = wrap::wrap(bytes, product, interfaces, plan.adapter_memory())?;
            true
        }
        _ => false,
    };
    let bytes = Metadata::of(project).put_into(bytes);
    write(project.component(), &bytes)?;
    Ok(Finished {
        wrapped,
        optimized,
        ..Finished::as_it_is(&bytes)
    })
}

impl Finished {
    fn as_it_is(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.len().try_into().unwrap_or(u64::MAX),
            wrapped: false,
            optimized: false,
        }
    }
}

fn optimise(project: &Project, language: Language, module: &Path) -> Result<Vec<u8>, BuildError> {
    let out = project.scratch().join("optimized.wasm");
    fs::create_dir_all(project.scratch()).map_err(BuildError::files("make", project.scratch()))?;
    WASM_OPT
        .step(language, project.folder())?
        .args(["-O3", "--all-features", "-o"])
        .arg(&out)
        .arg(module)
        .run()?;
    let bytes = fs::read(&out).map_err(BuildError::files("read", &out))?;
    fs::remove_file(&out).map_err(BuildError::files("remove", &out))?;
    Ok(bytes)
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(BuildError::files("make", folder))?;
    let unfinished = file.with_extension("wasm.part");
    fs::write(&unfinished, bytes).map_err(BuildError::files("write", &unfinished))?;
    fs::rename(&unfinished, file).map_err(BuildError::files("write", file))
}
