//! Which projects a command was pointed at: functions with sources.
//!
//! **Invariant:** each project has one function, and a function whose sources could be meant by
//! more than one folder is refused.

use std::path::Path;

use midge_build::{Language, Project, quoted};
use midge_model::FunctionName;

use super::{FunctionsError, MANIFEST, Source, source};
use crate::components::Component;

/// A function that can be built.
#[derive(Debug, Clone)]
pub(crate) struct Buildable {
    /// Its sources.
    pub(crate) project: Project,
    /// The manifest's command line.
    pub(crate) line: Option<String>,
}

impl Buildable {
    /// Whether there is anything to build it from: a manifest may name what somebody else built.
    pub(crate) fn has_sources(&self) -> bool {
        self.line.is_some() || Language::of(self.project.folder()).is_some()
    }
}

/// The functions at `path` that can be built: those of these names, or all whose component is a file.
///
/// A folder without a manifest is a project if a language says so: its component goes to
/// `build/NAME.wasm`, where a manifest that `midge new` wrote has it too.
///
/// # Errors
///
/// What is wrong with the manifest, or it does not say how a function is built.
pub(crate) fn buildable(
    path: &Path,
    names: &[FunctionName],
) -> Result<Vec<Buildable>, FunctionsError> {
    if path.is_dir() && !path.join(MANIFEST).is_file() && Language::of(path).is_some() {
        return Ok(vec![without_manifest(path)]);
    }
    let Source { folder, functions } = source(path)?;
    let is_file = |function: &super::Written| matches!(function.component, Component::File(_));
    if folder.is_none() && functions.iter().any(is_file) {
        let path = path.to_owned();
        return Err(FunctionsError::NoProject { path });
    }
    let folder = folder.unwrap_or_default();
    let unknown = names
        .iter()
        .find(|name| functions.iter().all(|function| function.name != **name));
    if let Some(function) = unknown {
        return Err(FunctionsError::Unknown {
            function: function.clone(),
            path: path.to_owned(),
        });
    }
    let is_only = functions.len() == 1;
    let wanted = functions
        .into_iter()
        .filter(|function| names.is_empty() || names.contains(&function.name));
    let place = |function: super::Written| {
        let component = match function.component {
            Component::File(path) => path,
            // What was built elsewhere is built.
            Component::Elsewhere(_) => return Ok(None),
        };
        let own = folder.join(function.name.as_str());
        let sources = if Language::of(&own).is_some() && function.build.is_none() {
            own
        } else if is_only || function.build.is_some() {
            folder.clone()
        } else {
            return Err(FunctionsError::Unbuildable {
                function: function.name,
            });
        };
        let project = Project::new(absolute(&sources), function.name, absolute(&component));
        let line = function.build;
        Ok(Some(Buildable { project, line }))
    };
    wanted
        .filter_map(|function| place(function).transpose())
        .collect()
}

/// Refuses functions whose component is a file that is not there.
///
/// # Errors
///
/// The first of them, with how the functions at `path` are built, if anything there says it.
pub(crate) fn check_built<'a>(
    path: &Path,
    functions: impl IntoIterator<Item = (&'a FunctionName, &'a Component)>,
) -> Result<(), FunctionsError> {
    for (function, component) in functions {
        if let Component::File(file) = component
            && !file.exists()
        {
            return Err(FunctionsError::NotBuilt {
                function: function.clone(),
                file: file.clone(),
                hint: how_to_build(path, function),
            });
        }
    }
    Ok(())
}

fn how_to_build(path: &Path, function: &FunctionName) -> String {
    let projects = buildable(path, std::slice::from_ref(function)).unwrap_or_default();
    match projects.iter().any(Buildable::has_sources) {
        true if path == Path::new(".") => "midge build".to_owned(),
        true => format!("midge build {}", quoted(&path.to_string_lossy())),
        false => format!("correct `component` in {MANIFEST}, or say with `build` how it is made"),
    }
}

fn without_manifest(folder: &Path) -> Buildable {
    let folder = absolute(folder);
    let stem = folder.file_name().unwrap_or_default().to_string_lossy();
    let name = FunctionName::from_file_stem(&stem);
    let component = folder.join("build").join(format!("{name}.wasm"));
    Buildable {
        project: Project::new(folder, name, component),
        line: None,
    }
}

/// Steps run in the project's folder, wherever the command was typed.
fn absolute(path: &Path) -> std::path::PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
