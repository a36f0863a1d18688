//! Zig: its own compiler. With a world (`wit/`) the project is a module that is wrapped here: on
//! bindings of its own, or on C's where a source has an `@cImport`. Without, it is a command.

use std::fs;
use std::path::Path;

use super::{NEWEST, Plan, World, first_of, interfaces};
use crate::bindings;
use crate::error::BuildError;
use crate::language::{Language, sources};
use crate::project::Project;
use crate::tools::ZIG;

pub(super) fn plan(project: &Project) -> Result<Plan, BuildError> {
    let source = first_of(project, &["src/main.zig", "main.zig"])?;
    let zig = ZIG.step(Language::Zig, project.folder())?.args([
        "build-exe",
        "-O",
        "ReleaseSmall",
        "-target",
    ]);
    let output = |file: &Path| format!("-femit-bin={}", file.display());
    if !project.wit().is_dir() {
        let product = project.component().to_owned();
        let step = zig.arg("wasm32-wasi").arg(source).arg(output(&product));
        return Ok(Plan::component(Language::Zig, vec![step], product));
    }
    let interfaces = interfaces(project, NEWEST)?;
    let module = project.core_module();
    let step = if uses_c(project) {
        let folder = project.scratch().join("bindings");
        let made = bindings::c(&interfaces, &folder)?;
        zig.args(["wasm32-wasi", "-mexec-model=reactor", "-lc", "-I"])
            .arg(&folder)
            .arg(source)
            .args(made)
    } else {
        // Nothing of a C library: what it exports begins with the first call.
        zig.arg("wasm32-freestanding").arg(source)
    };
    let step = step.args(["-fno-entry", "-rdynamic"]).arg(output(&module));
    let world = World::Of(Box::new(interfaces));
    Ok(Plan::module(Language::Zig, vec![step], module, world))
}

fn uses_c(project: &Project) -> bool {
    sources(project.folder(), &["zig"])
        .iter()
        .any(|source| fs::read_to_string(source).is_ok_and(|text| text.contains("@cImport")))
}
