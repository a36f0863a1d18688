//! Go: its own compiler, for WASI 0.1; a handler is a reactor that is wrapped here.
//!
//! A package that exports functions for a world (`wit/`) is built as a library; one without is a
//! command.

use super::{NEWEST, Plan, World, interfaces};
use crate::error::BuildError;
use crate::language::Language;
use crate::project::Project;
use crate::tools::GO;

pub(super) fn plan(project: &Project) -> Result<Plan, BuildError> {
    let go = GO
        .step(Language::Go, project.folder())?
        .env("GOOS", "wasip1")
        .env("GOARCH", "wasm")
        // A workspace around the project is about other targets.
        .env("GOWORK", "off")
        .args(["build", "-trimpath", "-ldflags=-s -w"]);
    if !project.wit().is_dir() {
        let product = project.component().to_owned();
        let step = go.arg("-o").arg(&product).arg(".");
        return Ok(Plan::component(Language::Go, vec![step], product));
    }
    let world = World::Of(Box::new(interfaces(project, NEWEST)?));
    let module = project.core_module();
    let step = go.args(["-buildmode=c-shared", "-o"]).arg(&module).arg(".");
    Ok(Plan::module(Language::Go, vec![step], module, world))
}
