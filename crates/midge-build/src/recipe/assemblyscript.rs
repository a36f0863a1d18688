//! AssemblyScript: asc. With a world (`wit/`) what it makes is wrapped here; without, it is a
//! command on its WASI shim.

use super::javascript::install;
use super::{NEWEST, Plan, World, first_of, interfaces};
use crate::error::BuildError;
use crate::language::Language;
use crate::project::Project;
use crate::step::Step;

pub(super) fn plan(project: &Project) -> Result<Plan, BuildError> {
    let folder = project.folder();
    let source = first_of(project, &["assembly/index.ts", "src/index.ts"])?;
    let mut steps = install(project, Language::AssemblyScript)?;
    let program = folder.join("node_modules/.bin/asc");
    if steps.is_empty() && !program.exists() {
        return Err(BuildError::NoTool {
            program: "asc",
            language: Language::AssemblyScript,
            get: "`npm install --save-dev assemblyscript`",
        });
    }
    let asc = Step::new(program, folder).arg(source);
    if !project.wit().is_dir() {
        let product = project.component().to_owned();
        let shim = "./node_modules/@assemblyscript/wasi-shim/asconfig.json";
        steps.push(
            asc.args(["-O", "--config", shim, "--outFile"])
                .arg(&product),
        );
        return Ok(Plan::component(Language::AssemblyScript, steps, product));
    }
    let world = World::Of(Box::new(interfaces(project, NEWEST)?));
    let module = project.core_module();
    // The project's own options are where its own tools look for them.
    let asc = match folder.join("asconfig.json").is_file() {
        true => asc.args(["--target", "release"]),
        false => asc.args(["-O", "--runtime", "minimal", "--use", "abort="]),
    };
    steps.push(asc.arg("--outFile").arg(&module));
    Ok(Plan::module(Language::AssemblyScript, steps, module, world))
}
