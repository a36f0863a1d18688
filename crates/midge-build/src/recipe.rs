//! How each language is built: one file per language.
//!
//! A recipe finds its tools, completes the interface texts it needs, and answers a [`Plan`]: the
//! commands, the file they leave, and what that file still needs. Nothing is run here but
//! questions to tools ("have you this target?").
//!
//! **Invariant:** a plan that was answered has all its tools.

mod assemblyscript;
mod c;
mod go;
mod javascript;
mod python;
mod rust;
mod zig;

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::BuildError;
use crate::language::Language;
use crate::project::Project;
use crate::step::Step;
use crate::wit::Interfaces;
use crate::wrap::AdapterMemory;

/// The newest WASI 0.2 whose texts the binary brings along.
pub(crate) const NEWEST: &str = "0.2.12";

/// The commands that build a project, and what they leave.
#[derive(Debug)]
pub struct Plan {
    language: Language,
    steps: Vec<Step>,
    product: PathBuf,
    world: World,
    adapter_memory: AdapterMemory,
}

/// What a core module is made a component of.
#[derive(Debug)]
pub(crate) enum World {
    /// This world; a command is left as it is.
    Of(Box<Interfaces>),
    /// There is none: a core module stays one.
    None,
}

/// How a project is built: by the manifest's own command line where there is one, else by what is
/// usual for its language.
///
/// # Errors
///
/// Nobody knows the language, a tool is missing, or the interface texts do not fit together.
pub fn plan(project: &Project, own_line: Option<&str>) -> Result<Plan, BuildError> {
    let folder = project.folder();
    let language = Language::of(folder);
    if let Some(line) = own_line {
        let world = match folder.join("wit").is_dir() {
            true => World::Of(Box::new(interfaces(project, NEWEST)?)),
            false => World::None,
        };
        return Ok(Plan {
            // Only for messages: the line says what is run.
            language: language.unwrap_or(Language::Rust),
            steps: vec![Step::shell(line, folder)],
            product: project.component().to_owned(),
            world,
            adapter_memory: memory_for(language),
        });
    }
    // Compilers do not make the folders they write to.
    let product = project.component().parent().unwrap_or(folder);
    for made in [&*project.scratch(), product] {
        fs::create_dir_all(made).map_err(BuildError::files("make", made))?;
    }
    match language {
        Some(Language::Rust) => rust::plan(project),
        Some(Language::Go) => go::plan(project),
        Some(Language::JavaScript) => javascript::plan(project),
        Some(Language::TypeScript) => javascript::plan_typescript(project),
        Some(Language::Python) => python::plan(project),
        Some(language @ (Language::C | Language::Cpp)) => c::plan(project, language),
        Some(Language::Zig) => zig::plan(project),
        Some(Language::AssemblyScript) => assemblyscript::plan(project),
        None => Err(BuildError::Unknown {
            folder: folder.to_owned(),
        }),
    }
}

impl Plan {
    /// What it is written in.
    pub fn language(&self) -> Language {
        self.language
    }

    /// What is to be run, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The file that the last step leaves.
    pub fn product(&self) -> &Path {
        &self.product
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    pub(crate) fn adapter_memory(&self) -> AdapterMemory {
        self.adapter_memory
    }

    /// A plan whose product is the component itself.
    fn component(language: Language, steps: Vec<Step>, product: PathBuf) -> Self {
        Self {
            language,
            steps,
            product,
            world: World::None,
            adapter_memory: memory_for(Some(language)),
        }
    }

    /// A plan whose product is a core module of this world.
    fn module(language: Language, steps: Vec<Step>, product: PathBuf, world: World) -> Self {
        Self {
            world,
            ..Self::component(language, steps, product)
        }
    }
}

/// The adapter asks for memory before Go's runtime has begun, which would call it again.
fn memory_for(language: Option<Language>) -> AdapterMemory {
    match language {
        Some(Language::Go) => AdapterMemory::Own,
        _ => AdapterMemory::Realloc,
    }
}

/// The project's interface texts, complete.
fn interfaces(project: &Project, version: &str) -> Result<Interfaces, BuildError> {
    Interfaces::complete(&project.wit(), &project.scratch(), version)
}

/// The first of these files that is there.
fn first_of(project: &Project, names: &[&str]) -> Result<PathBuf, BuildError> {
    let files = names.iter().map(|name| project.folder().join(name));
    files
        .into_iter()
        .find(|file| file.is_file())
        .ok_or_else(|| BuildError::BadFile {
            file: project.folder().join(names[0]),
            reason: format!(
                "is not there, and neither is another of {}",
                names.join(", ")
            ),
        })
}
