//! JavaScript and TypeScript: componentize-js, after esbuild for TypeScript or for what imports
//! packages.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Plan, first_of, interfaces};
use crate::error::BuildError;
use crate::language::Language;
use crate::project::Project;
use crate::step::Step;
use crate::tools::{NODE, NPM, find};

/// The engine that componentize-js puts into each component is built for this WASI.
const WASI_OF_ENGINE: &str = "0.2.10";
/// The file that a package begins with, where `main` does not say it.
const SOURCES: &[&str] = &["src/index.js", "index.js", "src/index.mjs"];
const SOURCES_TYPESCRIPT: &[&str] = &["src/index.ts", "index.ts"];
const GET: &str =
    "`npm install --save-dev @bytecodealliance/componentize-js @bytecodealliance/preview2-shim`";

pub(super) fn plan(project: &Project) -> Result<Plan, BuildError> {
    let source = source(project, SOURCES)?;
    let mut steps = install(project, Language::JavaScript)?;
    // With packages of others, it is one file only after bundling.
    let bundled = if find("esbuild", project.folder()).is_some() {
        bundle(project, Language::JavaScript, &source, &mut steps)?
    } else {
        source
    };
    componentize(project, Language::JavaScript, &bundled, steps)
}

pub(super) fn plan_typescript(project: &Project) -> Result<Plan, BuildError> {
    let source = source(project, SOURCES_TYPESCRIPT)?;
    let mut steps = install(project, Language::TypeScript)?;
    let bundled = bundle(project, Language::TypeScript, &source, &mut steps)?;
    componentize(project, Language::TypeScript, &bundled, steps)
}

/// Where the project begins.
fn source(project: &Project, usual: &[&str]) -> Result<PathBuf, BuildError> {
    let package = project.folder().join("package.json");
    let text = fs::read_to_string(&package).map_err(BuildError::files("read", &package))?;
    let package: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| BuildError::BadFile {
            file: package,
            reason: error.to_string(),
        })?;
    match package["main"].as_str() {
        Some(main) => first_of(project, &[main]),
        None => first_of(project, usual),
    }
}

/// Installs the project's packages if nobody did.
pub(super) fn install(project: &Project, language: Language) -> Result<Vec<Step>, BuildError> {
    let folder = project.folder();
    // What npm installs is started by it.
    NODE.step(language, folder)?;
    if folder.join("node_modules").is_dir() {
        return Ok(Vec::new());
    }
    let word = match folder.join("package-lock.json").is_file() {
        true => "ci",
        false => "install",
    };
    let npm = NPM.step(language, folder)?;
    Ok(vec![npm.args([word, "--no-audit", "--no-fund"])])
}

fn bundle(
    project: &Project,
    language: Language,
    source: &Path,
    steps: &mut Vec<Step>,
) -> Result<PathBuf, BuildError> {
    let out = project.scratch().join("bundle.js");
    // Where packages are still to be installed, it comes with them.
    let program = match steps.is_empty() {
        true => find("esbuild", project.folder()).ok_or(BuildError::NoTool {
            program: "esbuild",
            language,
            get: "`npm install --save-dev esbuild`",
        })?,
        false => project.folder().join("node_modules/.bin/esbuild"),
    };
    let step = Step::new(program, project.folder())
        .arg(source)
        .args(["--bundle", "--format=esm", "--target=es2022"])
        .args([
            "--external:wasi:*",
            "--external:fermyon:*",
            "--log-level=warning",
        ])
        .arg(format!("--outfile={}", out.display()));
    steps.push(step);
    Ok(out)
}

fn componentize(
    project: &Project,
    language: Language,
    source: &Path,
    mut steps: Vec<Step>,
) -> Result<Plan, BuildError> {
    let folder = project.folder();
    let program = folder.join("node_modules/.bin/componentize-js");
    if folder.join("node_modules").is_dir() && !program.exists() {
        return Err(BuildError::NoTool {
            program: "componentize-js",
            language,
            get: GET,
        });
    }
    let interfaces = interfaces(project, WASI_OF_ENGINE)?;
    let product = project.component().to_owned();
    let step = Step::new(program, folder)
        .arg(source)
        .arg("--wit")
        .arg(&interfaces.folder)
        .args(["--world-name", &interfaces.world, "--out"])
        .arg(&product);
    steps.push(step);
    Ok(Plan::component(language, steps, product))
}
